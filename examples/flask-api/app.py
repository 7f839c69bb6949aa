"""A Flask API that accepts access tokens issued by Signet.

No secret is shared with the provider: the signature is verified with the keys that Signet
publishes (RFC 9068 §4), and a token counts only if it was issued by ISSUER for AUDIENCE and
carries the scope that the endpoint asks for.
"""

import os
import threading
import time

import requests
from authlib.integrations.flask_oauth2 import ResourceProtector, current_token
from authlib.oauth2.rfc6750.errors import InvalidTokenError
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from flask import Flask, jsonify

ISSUER = os.environ["ISSUER"].rstrip("/")
AUDIENCE = os.environ["AUDIENCE"]


class SignetKeys:
    """The provider's public keys, fetched when first needed and kept for five minutes."""

    KEEP = 300
    COOL_DOWN = 10  # a flood of tokens with made-up key ids costs one fetch in this many seconds

    def __init__(self, issuer):
        self._issuer = issuer
        self._lock = threading.Lock()
        self._jwks = None
        self._fetched = 0.0

    def current(self, *, refresh=False):
        with self._lock:
            age = time.monotonic() - self._fetched
            if self._jwks is None or age > self.KEEP or (refresh and age > self.COOL_DOWN):
                self._jwks = self._fetch()
                self._fetched = time.monotonic()
            return self._jwks

    def _fetch(self):
        metadata = self._get(f"{self._issuer}/.well-known/openid-configuration")
        if metadata["issuer"] != self._issuer:  # OIDC Discovery §4.3
            raise RuntimeError(f"discovery names another issuer: {metadata['issuer']}")
        return self._get(metadata["jwks_uri"])

    @staticmethod
    def _get(url):
        answer = requests.get(url, timeout=5)
        answer.raise_for_status()
        return answer.json()


class SignetTokenValidator(JWTBearerTokenValidator):
    """Checks signature, typ, issuer, audience, expiry and scope of a JWT access token."""

    def __init__(self, issuer, audience):
        super().__init__(issuer=issuer, resource_server=audience)
        self._keys = SignetKeys(issuer)
        self._refresh = threading.local()

    def get_jwks(self):
        return self._keys.current(refresh=getattr(self._refresh, "wanted", False))

    def authenticate_token(self, token_string):
        try:
            return super().authenticate_token(token_string)
        except InvalidTokenError:
            # Perhaps signed with a key published after our last look: look again, once.
            self._refresh.wanted = True
            try:
                return super().authenticate_token(token_string)
            finally:
                self._refresh.wanted = False
        except ValueError as err:  # not a JWT at all
            raise InvalidTokenError() from err


app = Flask(__name__)
require_token = ResourceProtector()
require_token.register_token_validator(SignetTokenValidator(ISSUER, AUDIENCE))


@app.get("/public")
def public():
    return jsonify(message="Anybody may read this.")


@app.get("/notes")
@require_token("notes:read")
def notes():
    return jsonify(owner=current_token["sub"], client=current_token["client_id"], notes=["Buy milk"])


@app.post("/notes")
@require_token("notes:write")
def add_note():
    return jsonify(owner=current_token["sub"], added=True), 201


if __name__ == "__main__":
    app.run(host="localhost", port=int(os.environ.get("PORT", "4001")))
