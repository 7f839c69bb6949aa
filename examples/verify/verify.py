# pip install 'pyjwt[crypto]'
import os, sys
import jwt

issuer, audience, token = os.environ["ISSUER"], os.environ["AUDIENCE"], sys.argv[1]
keys = jwt.PyJWKClient(issuer + "/.well-known/jwks.json")

if jwt.get_unverified_header(token).get("typ") != "at+jwt":  # not an ID token
    sys.exit("not an access token")
claims = jwt.decode(token, keys.get_signing_key_from_jwt(token), algorithms=["ES256"],
                    issuer=issuer, audience=audience)
print(claims["sub"], claims["scope"])
