"""A site with an administrator, mina, and browsers that talk to it as browsers do."""

from fastapi.testclient import TestClient
from web_parts import Site

from newsletter import admins
from newsletter.web import create_app

MINA, PASSWORD = "mina", "seven herons over the river"
OWN = {"Sec-Fetch-Site": "same-origin"}


class Desk(Site):
    """The site with an administrator."""

    def __post_init__(self) -> None:
        """Add the newsletter and the administrator."""
        super().__post_init__()
        with self.make.sessions.begin() as session:
            admins.create(session, MINA, PASSWORD, now=self.now)

    def browser(self, ip: str = "192.0.2.7") -> TestClient:
        """Return a browser that is not logged in: it says that its forms come from our own pages."""
        app, ours = create_app(self.services()), self.links.base_url
        return TestClient(app, base_url=ours, follow_redirects=False, headers=OWN, client=(ip, 50000))

    def mina(self) -> TestClient:
        """Return a browser that mina is logged in with."""
        browser = self.browser()
        assert log_in(browser).status_code == 303
        return browser


def log_in(browser, name=MINA, password=PASSWORD, **more):
    """Send the form."""
    return browser.post("/admin/login", data={"name": name, "password": password} | more)
