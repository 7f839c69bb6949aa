"""Authlib against the provider that the environment names. Prints one line for each flow."""

import json
import os
import time
import traceback
from urllib.parse import parse_qs, urlsplit

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.integrations.flask_client import OAuth
from authlib.integrations.flask_oauth2 import ResourceProtector
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT, private_key_jwt_sign
from authlib.oauth2.rfc7662 import IntrospectTokenValidator
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from flask import Flask, jsonify, session
from joserfc import jwk

ISSUER, CALLBACK, BYE = os.environ["ISSUER"], os.environ["CALLBACK"], os.environ["BYE"]
SECRET, AUDIENCE, EMAIL = os.environ["SECRET"], os.environ["AUDIENCE"], os.environ["EMAIL"]
SCOPE = "openid profile email offline_access"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
KEY = jwk.ECKey.import_key(json.loads(os.environ["KEY"]))
METADATA = requests.get(f"{ISSUER}/.well-known/openid-configuration", timeout=10).json()


def person(act, who, **asked):
    """What the person at the browser does."""
    answer = requests.post(f"{os.environ['PERSON']}/{act}", json={"who": who, **asked}, timeout=60).json()
    if "error" in answer:
        raise AssertionError(answer["error"])
    return answer


def equal(got, want, why=""):
    if got != want:
        raise AssertionError(f"{got!r} is not {want!r} {why}")


class KeyForIssuer(PrivateKeyJWT):
    """Assertions for the issuer that live a minute. Authlib's own name the token endpoint, which
    another server's metadata could name too, and live an hour; Signet takes neither."""

    def sign(self, auth, audience):
        return private_key_jwt_sign(
            auth.client_secret, client_id=auth.client_id, token_endpoint=ISSUER,
            header=dict(self.headers), alg=self.alg, expires_in=60,
        )


class Web:
    """A Flask application that signs people in; its visitor is a test client."""

    def __init__(self, client_id, **more):
        self.name = generate_token(8)
        app = Flask(self.name)
        app.secret_key = generate_token(32)
        self.rp = OAuth(app).register(
            "signet", client_id=client_id, server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
            client_kwargs={"scope": SCOPE, "code_challenge_method": "S256", **more.pop("client_kwargs", {})},
            **{"client_secret": SECRET, **more},
        )
        app.add_url_rule("/login", view_func=lambda: self.rp.authorize_redirect(CALLBACK), endpoint="login")
        app.add_url_rule("/callback", view_func=self.callback)
        app.add_url_rule("/logout", view_func=self.logout)
        app.add_url_rule("/bye", view_func=lambda: jsonify(self.rp.validate_logout_response()), endpoint="bye")
        self.browser = app.test_client()

    def callback(self):
        token = self.rp.authorize_access_token()
        session["id_token"] = token["id_token"]
        info = self.rp.userinfo(token=token)
        return jsonify(token=token, info=info)

    def logout(self):
        return self.rp.logout_redirect(post_logout_redirect_uri=BYE, id_token_hint=session["id_token"])

    def sign_in(self):
        asked = self.browser.get("/login")
        landed = person("authorize", self.name, url=asked.location)["url"]
        answer = self.browser.get(f"/callback?{urlsplit(landed).query}")
        equal(answer.status_code, 200)
        return answer.json


def service(client_id, **more):
    return OAuth2Session(client_id, more.pop("client_secret", SECRET), redirect_uri=CALLBACK, token_endpoint=METADATA["token_endpoint"], **more)


def knows(answer):
    equal(answer["info"]["email"], EMAIL)
    equal(answer["token"]["userinfo"]["iss"], ISSUER, "ID token")


def code():
    knows(Web("web").sign_in())


def refresh():
    token = Web("web").sign_in()["token"]
    renewed = service("web").refresh_token(METADATA["token_endpoint"], refresh_token=token["refresh_token"])
    assert renewed["refresh_token"] != token["refresh_token"]


def private_key_jwt():
    method = KeyForIssuer(ISSUER, headers={"kid": KEY.kid}, alg="ES256")
    knows(Web("keyed", client_secret=KEY, client_kwargs={"token_endpoint_auth_method": method}).sign_in())


def machine_token():
    return service("machine", scope="orders.read").fetch_token(grant_type="client_credentials", resource=AUDIENCE)


def client_credentials():
    equal(machine_token()["token_type"].lower(), "bearer")


def introspection():
    token = machine_token()
    ask = lambda value: service("machine").introspect_token(METADATA["introspection_endpoint"], token=value).json()
    equal(ask(token["access_token"])["client_id"], "machine")
    equal(ask("nonsense"), {"active": False})


def revocation():
    token = Web("web").sign_in()["token"]
    service("web").revoke_token(METADATA["revocation_endpoint"], token=token["refresh_token"])
    try:
        service("web").refresh_token(METADATA["token_endpoint"], refresh_token=token["refresh_token"])
    except AuthlibBaseError as refused:
        equal(refused.error, "invalid_grant")
    else:
        raise AssertionError("a revoked token was taken")


def device():
    started = requests.post(METADATA["device_authorization_endpoint"], data={"client_id": "tv", "scope": SCOPE}, timeout=10).json()
    tv = service("tv", client_secret=None, token_endpoint_auth_method="none")
    poll = lambda: tv.fetch_token(grant_type=DEVICE, device_code=started["device_code"])
    try:
        poll()
    except AuthlibBaseError as pending:
        equal(pending.error, "authorization_pending")
    else:
        raise AssertionError("a token before anybody confirmed")
    person("device", "tv", url=started["verification_uri"], code=started["user_code"])
    time.sleep(started.get("interval", 5))
    token = poll()
    info = requests.get(METADATA["userinfo_endpoint"], headers={"Authorization": f"Bearer {token['access_token']}"}, timeout=10).json()
    equal(info["email"], EMAIL)


def logout():
    web = Web("web")
    web.sign_in()
    landed = person("leave", web.name, url=web.browser.get("/logout").location)["url"]
    assert landed.startswith(BYE), landed
    equal(web.browser.get(f"/bye?{urlsplit(landed).query}").json, {"post_logout_redirect_uri": BYE})


def api(validator):
    """A Flask API behind Authlib's resource protector; answers the status for a token."""
    app = Flask(generate_token(8))
    protect = ResourceProtector()
    protect.register_token_validator(validator)
    app.add_url_rule("/", view_func=protect("orders.read")(lambda: "orders"))
    return lambda token: app.test_client().get("/", headers={"Authorization": f"Bearer {token}"}).status_code


def api_jwt():
    class Validator(JWTBearerTokenValidator):
        def get_jwks(self):
            return requests.get(METADATA["jwks_uri"], timeout=10).json()

    ask = api(Validator(issuer=ISSUER, resource_server=AUDIENCE))
    equal(ask(machine_token()["access_token"]), 200)
    id_token = Web("web").sign_in()["token"]["id_token"]
    assert ask(id_token) >= 400, "an ID token is no access token (RFC 9068 §4)"


def api_opaque():
    class Validator(IntrospectTokenValidator):
        def introspect_token(self, token_string):
            return requests.post(METADATA["introspection_endpoint"], data={"token": token_string}, auth=("machine", SECRET), timeout=10).json()

    ask = api(Validator())
    rp = service("opaque", scope="openid orders.read", code_challenge_method="S256")
    verifier = generate_token(48)
    url, state = rp.create_authorization_url(METADATA["authorization_endpoint"], code_verifier=verifier, resource=AUDIENCE)
    landed = person("authorize", "opaque", url=url)["url"]
    token = rp.fetch_token(METADATA["token_endpoint"], authorization_response=landed, code_verifier=verifier, state=state)
    assert token["access_token"].count(".") == 0
    equal(ask(token["access_token"]), 200)
    rp.revoke_token(METADATA["revocation_endpoint"], token=token["access_token"])
    equal(ask(token["access_token"]), 401)


for flow in (code, refresh, private_key_jwt, client_credentials, introspection, revocation, device, logout, api_jwt, api_opaque):
    try:
        flow()
        print(f"ok {flow.__name__}", flush=True)
    except Exception:  # whatever it is: this flow has failed
        why = traceback.format_exc().strip().replace("\n", "\\n")
        print(f"FAILED {flow.__name__}: {why}", flush=True)
