"""The history of the tables, run by `newsletter migrate`; both databases."""
