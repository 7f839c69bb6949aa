"""A Flask web application whose login is a redirect to Signet.

The application keeps its own session, as any Flask tutorial does, but it never sees a password:
/login sends the browser to Signet, /callback receives the verified ID token. Authlib does the
protocol: PKCE, state, nonce, issuer, signature and audience checks.
"""

import os
import secrets
from functools import wraps
from urllib.parse import urlencode

from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from flask import Flask, redirect, render_template, session, url_for

ISSUER = os.environ["ISSUER"].rstrip("/")

app = Flask(__name__)
app.config.update(
    # A restart with a new key signs everybody out here; set SECRET_KEY to keep the sessions.
    SECRET_KEY=os.environ.get("SECRET_KEY") or secrets.token_hex(32),
    SESSION_COOKIE_NAME="flask_session_example",
    SESSION_COOKIE_HTTPONLY=True,
    # Lax: the browser sends the cookie along on the redirect back from Signet, but not with a
    # form that another site posts here, so /logout needs no further CSRF protection.
    SESSION_COOKIE_SAMESITE="Lax",
    SESSION_COOKIE_SECURE=os.environ.get("COOKIE_SECURE") == "1",
)

oauth = OAuth(app)
oauth.register(
    name="signet",
    client_id=os.environ["CLIENT_ID"],
    client_secret=os.environ["CLIENT_SECRET"],
    server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
    client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256"},
)


def login_required(view):
    """Sends visitors without a session of this application to the login."""

    @wraps(view)
    def guarded(*args, **kwargs):
        if "user" not in session:
            return redirect(url_for("login"))
        return view(*args, **kwargs)

    return guarded


@app.get("/")
def home():
    return render_template("home.html", user=session.get("user"))


@app.get("/private")
@login_required
def private():
    return render_template("private.html", user=session["user"])


@app.get("/login")
def login():
    return oauth.signet.authorize_redirect(url_for("callback", _external=True))


@app.get("/callback")
def callback():
    try:
        token = oauth.signet.authorize_access_token()
    except OAuthError as err:
        # access_denied when the person said no; anything else is a mismatch worth a log line.
        app.logger.warning("login failed: %s", err.error)
        return render_template("failed.html", reason=err.error), 400
    subject = token["userinfo"]["sub"]  # Authlib's name for the verified claims of the ID token
    # Name and e-mail are not in it when there is an access token to ask with (OIDC Core §5.4).
    claims = oauth.signet.userinfo(token=token)
    if claims["sub"] != subject:  # OIDC Core §5.3.2
        return render_template("failed.html", reason="userinfo is about somebody else"), 400
    session.clear()  # a session from before the login must not survive it
    session["user"] = {key: claims.get(key) for key in ("sub", "name", "email", "preferred_username")}
    session["id_token"] = token["id_token"]  # names the session to end at logout
    return redirect(url_for("private"))


@app.post("/logout")
def logout():
    hint = session.get("id_token")
    session.clear()
    end_session = oauth.signet.load_server_metadata()["end_session_endpoint"]
    query = {
        "client_id": oauth.signet.client_id,
        "post_logout_redirect_uri": url_for("home", _external=True),
    }
    if hint:
        query["id_token_hint"] = hint
    return redirect(f"{end_session}?{urlencode(query)}")


if __name__ == "__main__":
    app.run(host="localhost", port=int(os.environ.get("PORT", "4000")))
