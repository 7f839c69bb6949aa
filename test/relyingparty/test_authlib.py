"""Authlib, the common Python client, against the real server: code flow with PKCE, verified ID
token, userinfo, refresh, revocation, introspection, logout, client_credentials."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import requests
from authlib.common.errors import AuthlibBaseError as OAuthError
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT, private_key_jwt_sign
from authlib.oidc.core import CodeIDToken
from joserfc import jwk, jwt

ROOT = Path(__file__).resolve().parents[2]
SIGNET = os.environ.get("SIGNET_BIN") or str(ROOT / "bin" / "signet")
CALLBACK = "http://localhost:9/callback"  # nobody listens: the test reads the redirect itself
EMAIL = "python@example.com"
PASSWORD = "correct-heron-battery-lamp"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Forms(HTMLParser):
    """Collects the forms of a page: action, fields, submit buttons."""

    def __init__(self, html):
        super().__init__()
        self.forms = []
        self._open = None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self._open = {"action": attrs.get("action", ""), "fields": {}, "buttons": []}
            self.forms.append(self._open)
        elif self._open is not None and tag == "input" and attrs.get("name"):
            self._open["fields"][attrs["name"]] = attrs.get("value") or ""
        elif self._open is not None and tag == "button":
            self._open["buttons"].append((attrs.get("name"), attrs.get("value")))

    def handle_endtag(self, tag):
        if tag == "form":
            self._open = None


class Person:
    """Keeps the provider's cookies, reads its forms and submits them."""

    def __init__(self, issuer):
        self.issuer = issuer
        self.http = requests.Session()

    def visit(self, url, data=None):
        """Follows redirects to a page (None) or to the first URL outside the provider."""
        for _ in range(15):
            method = "POST" if data is not None else "GET"
            answer = self.http.request(
                method, url, data=data, headers={"Origin": self.issuer}, allow_redirects=False, timeout=10
            )
            data = None
            if "Location" not in answer.headers:
                self.url, self.page = answer.url, answer
                return None
            url = urljoin(answer.url, answer.headers["Location"])
            if not url.startswith(self.issuer + "/"):
                return url
        raise AssertionError(f"redirected too often, last to {url}")

    def submit(self, fields, button=None):
        for form in Forms(self.page.text).forms:
            fits = button in form["buttons"] if button else fields.keys() <= form["fields"].keys()
            if fits:
                data = {**form["fields"], **fields, **(dict([button]) if button else {})}
                return self.visit(urljoin(self.url, form["action"]), data)
        raise AssertionError(f"no form for {button or list(fields)} at {self.url}:\n{self.page.text}")

    def authorize(self, url):
        landed = self.visit(url)
        while landed is None:
            if 'name="identifier"' in self.page.text:
                landed = self.submit({"identifier": EMAIL, "password": PASSWORD})
            else:
                landed = self.submit({}, ("answer", "allow"))
        return landed


class ShortLivedKeyJWT(PrivateKeyJWT):
    """Assertions for the issuer that live a minute. Authlib's own name the token endpoint, which
    an attacker's metadata could name too, and live an hour; Signet takes neither."""

    def sign(self, auth, audience):
        return private_key_jwt_sign(
            auth.client_secret, client_id=auth.client_id, token_endpoint=audience,
            header=dict(self.headers), alg=self.alg, expires_in=60,
        )


class AuthlibTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data = tempfile.mkdtemp(prefix="signet-authlib-")
        cls.addClassCleanup(shutil.rmtree, cls.data, ignore_errors=True)
        port = free_port()
        cls.issuer = f"http://localhost:{port}"
        cls.log = open(os.path.join(cls.data, "log"), "w+")
        cls.addClassCleanup(cls.log.close)
        cls.server = subprocess.Popen(
            [SIGNET, "dev", "--data", f"{cls.data}/signet", "--listen", f"127.0.0.1:{port}",
             "--sample-listen", f"127.0.0.1:{free_port()}", "--mail", "off"],
            stdout=cls.log, stderr=subprocess.STDOUT,
        )
        cls.addClassCleanup(cls.server.wait)
        cls.addClassCleanup(cls.server.terminate)
        cls.metadata = cls.wait_for_discovery()
        cls.keys = jwk.KeySet.import_key_set(requests.get(cls.metadata["jwks_uri"], timeout=5).json())
        person = Person(cls.issuer)
        person.visit(f"{cls.issuer}/signup")
        person.submit({"email": EMAIL, "name": "Python Person", "password": PASSWORD})

    @classmethod
    def wait_for_discovery(cls):
        end = time.monotonic() + 20
        while time.monotonic() < end and cls.server.poll() is None:
            try:
                return requests.get(f"{cls.issuer}/.well-known/openid-configuration", timeout=5).json()
            except requests.ConnectionError:
                time.sleep(0.02)
        cls.log.seek(0)
        raise AssertionError(f"the server did not start:\n{cls.log.read()}")

    @staticmethod
    def eventually(ask):
        """A running server sees a new API when it next looks for changes, within a second."""
        end = time.monotonic() + 5
        while True:
            try:
                return ask()
            except OAuthError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def cli(self, *args):
        done = subprocess.run(
            [SIGNET, *args, "--data", f"{self.data}/signet"], capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def client(self, *args):
        return json.loads(self.cli("client", "create", *args, "--json"))

    def web_client(self, *args):
        return self.client("--kind", "web", "--name", "Authlib", "--redirect-uri", CALLBACK,
                           "--post-logout-redirect-uri", "http://localhost:9/bye",
                           "--grant-type", "authorization_code", "--grant-type", "refresh_token", *args)

    def session(self, client, **more):
        return OAuth2Session(
            client["client_id"], client.get("client_secret"), redirect_uri=CALLBACK,
            code_challenge_method="S256", **more,
        )

    def code_flow(self, session, person, scope="openid profile email offline_access"):
        verifier, nonce = generate_token(48), generate_token(24)
        url, state = session.create_authorization_url(
            self.metadata["authorization_endpoint"], scope=scope, code_verifier=verifier, nonce=nonce
        )
        landed = person.authorize(url)
        answer = parse_qs(urlsplit(landed).query)
        self.assertEqual(answer["iss"], [self.issuer], "RFC 9207")
        token = session.fetch_token(
            self.metadata["token_endpoint"], authorization_response=landed, code_verifier=verifier, state=state
        )
        return token, self.verify(token["id_token"], session.client_id, nonce)

    def verify(self, id_token, client_id, nonce=None):
        decoded = jwt.decode(id_token, self.keys, algorithms=["ES256", "RS256"])
        claims = CodeIDToken(
            decoded.claims, decoded.header,
            options={"iss": {"essential": True, "value": self.issuer}, "aud": {"essential": True, "value": client_id}},
            params={"nonce": nonce, "client_id": client_id},
        )
        claims.validate()
        return claims

    def test_code_flow_refresh_and_logout(self):
        for method in ("client_secret_basic", "client_secret_post"):
            with self.subTest(method):
                client = self.web_client("--auth-method", method)
                session = self.session(client, token_endpoint_auth_method=method)
                person = Person(self.issuer)
                token, claims = self.code_flow(session, person)

                info = session.get(self.metadata["userinfo_endpoint"]).json()
                self.assertEqual((info["sub"], info["email"], info["name"]), (claims["sub"], EMAIL, "Python Person"))

                renewed = session.refresh_token(self.metadata["token_endpoint"], refresh_token=token["refresh_token"])
                self.assertNotEqual(renewed["refresh_token"], token["refresh_token"])
                self.assertEqual(self.verify(renewed["id_token"], client["client_id"])["sub"], claims["sub"])

                facts = session.introspect_token(
                    self.metadata["introspection_endpoint"], token=renewed["refresh_token"],
                    token_type_hint="refresh_token").json()
                self.assertTrue(facts["active"])

                landed = person.visit(
                    requests.Request("GET", self.metadata["end_session_endpoint"], params={
                        "id_token_hint": renewed["id_token"], "state": "kept",
                        "post_logout_redirect_uri": "http://localhost:9/bye"}).prepare().url)
                if landed is None:
                    landed = person.submit({}, ("answer", "leave"))
                self.assertEqual(landed, "http://localhost:9/bye?state=kept")

                answer = requests.post(self.metadata["token_endpoint"], timeout=5, data={
                    "grant_type": "refresh_token", "refresh_token": renewed["refresh_token"],
                    "client_id": client["client_id"], "client_secret": client["client_secret"],
                } if method == "client_secret_post" else {
                    "grant_type": "refresh_token", "refresh_token": renewed["refresh_token"],
                }, auth=None if method == "client_secret_post" else (client["client_id"], client["client_secret"]))
                self.assertEqual((answer.status_code, answer.json()["error"]), (400, "invalid_grant"))

    def test_revocation(self):
        client = self.web_client("--first-party")
        session = self.session(client)
        token, _ = self.code_flow(session, Person(self.issuer))
        session.revoke_token(self.metadata["revocation_endpoint"], token=token["refresh_token"], token_type_hint="refresh_token")
        facts = session.introspect_token(self.metadata["introspection_endpoint"], token=token["refresh_token"]).json()
        self.assertEqual(facts, {"active": False})

    def test_private_key_jwt(self):
        key = jwk.ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
        jwks = os.path.join(self.data, "jwks.json")
        Path(jwks).write_text(json.dumps({"keys": [key.as_dict(private=False)]}), encoding="utf-8")
        client = self.web_client("--auth-method", "private_key_jwt", "--jwks-file", jwks)
        endpoint = self.metadata["token_endpoint"]
        session = OAuth2Session(
            client["client_id"], key, redirect_uri=CALLBACK, code_challenge_method="S256",
            token_endpoint_auth_method=ShortLivedKeyJWT(self.issuer, headers={"kid": key.kid}, alg="ES256"),
        )
        token, claims = self.code_flow(session, Person(self.issuer))
        renewed = session.refresh_token(endpoint, refresh_token=token["refresh_token"])
        self.assertEqual(self.verify(renewed["id_token"], client["client_id"])["sub"], claims["sub"])

    def test_client_credentials(self):
        audience = "https://python.example.com/"
        self.cli("api", "create", "--audience", audience, "--name", "Python", "--scope", "jobs:run=Run jobs")
        client = self.client("--kind", "machine", "--name", "cron", "--audience", audience, "--scope", "jobs:run")
        session = OAuth2Session(client["client_id"], client["client_secret"], scope="jobs:run")
        token = self.eventually(lambda: session.fetch_token(
            self.metadata["token_endpoint"], grant_type="client_credentials", resource=audience))
        decoded = jwt.decode(token["access_token"], self.keys, algorithms=["ES256"])
        self.assertEqual(decoded.header["typ"], "at+jwt")
        self.assertEqual(decoded.claims["client_id"], client["client_id"])
        self.assertIn(audience, [decoded.claims["aud"]] if isinstance(decoded.claims["aud"], str) else decoded.claims["aud"])

    def test_says_no(self):
        client = self.web_client()
        session = self.session(client)
        url, state = session.create_authorization_url(
            self.metadata["authorization_endpoint"], scope="openid", code_verifier=generate_token(48))
        person = Person(self.issuer)
        self.assertIsNone(person.visit(url))
        self.assertIsNone(person.submit({"identifier": EMAIL, "password": PASSWORD}))
        answer = parse_qs(urlsplit(person.submit({}, ("answer", "deny"))).query)
        self.assertEqual(answer["error"], ["access_denied"])
        self.assertEqual((answer["state"], answer["iss"]), ([state], [self.issuer]))


if __name__ == "__main__":
    unittest.main()
