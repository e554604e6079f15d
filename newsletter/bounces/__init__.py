"""Bounces and complaints: what other servers report about the mail we sent."""
