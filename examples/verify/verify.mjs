// npm install jose
import { createRemoteJWKSet, jwtVerify } from "jose";

const { ISSUER: issuer, AUDIENCE: audience } = process.env;
const keys = createRemoteJWKSet(new URL(issuer + "/.well-known/jwks.json"));

const { payload } = await jwtVerify(process.argv[2], keys, {
  issuer, audience, typ: "at+jwt", algorithms: ["ES256"],
});
console.log(payload.sub, payload.scope);
