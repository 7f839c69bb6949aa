//! The flows of the openidconnect crate against the provider that the environment names. Prints one
//! line for each.

use std::env;
use std::error::Error;

use openidconnect::core::*;
use openidconnect::registration::EmptyAdditionalClientMetadata;
use openidconnect::reqwest::{blocking, redirect};
use openidconnect::*;
use serde::{Deserialize, Serialize};

type Outcome = Result<(), Box<dyn Error>>;

/// What the crate's own metadata lacks.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct More {
    device_authorization_endpoint: DeviceAuthorizationUrl,
    introspection_endpoint: IntrospectionUrl,
    end_session_endpoint: EndSessionUrl,
}
impl AdditionalProviderMetadata for More {}

type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

struct Rig {
    http: blocking::Client,
    metadata: Metadata,
}

fn var(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn ensure(good: bool, why: &str) -> Outcome {
    if good { Ok(()) } else { Err(why.into()) }
}

/// A client of the provider; a macro, since its type says which endpoints are known.
macro_rules! client {
    ($rig:expr, $id:expr, $secret:expr) => {
        CoreClient::from_provider_metadata($rig.metadata.clone(), ClientId::new($id.into()), $secret)
            .set_redirect_uri(RedirectUrl::new(var("CALLBACK"))?)
    };
}

fn secret() -> Option<ClientSecret> {
    Some(ClientSecret::new(var("SECRET")))
}

/// The whole code flow with a client; answers the tokens and the verified subject.
macro_rules! sign_in {
    ($rig:expr, $client:expr) => {{
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state, nonce) = $client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
            .add_scopes(["profile", "email", "offline_access"].map(|s| Scope::new(s.into())))
            .set_pkce_challenge(challenge)
            .url();
        let landed = $rig.person("authorize", &[("url", url.as_str())])?;
        ensure(parameter(&landed, "state").as_ref() == Some(state.secret()), "state")?;
        ensure(parameter(&landed, "iss") == Some(var("ISSUER")), "iss (RFC 9207)")?;
        let code = AuthorizationCode::new(parameter(&landed, "code").ok_or("no code")?);
        let tokens = $client.exchange_code(code)?.set_pkce_verifier(verifier).request(&$rig.http)?;
        let subject = verified!($client, tokens, &nonce);
        (tokens, subject)
    }};
}

macro_rules! verified {
    ($client:expr, $tokens:expr, $nonce:expr) => {{
        let id = $tokens.id_token().ok_or("no ID token")?;
        let verifier = $client.id_token_verifier();
        let claims = id.claims(&verifier, $nonce)?;
        if let Some(want) = claims.access_token_hash() {
            let got = AccessTokenHash::from_token($tokens.access_token(), id.signing_alg()?, id.signing_key(&verifier)?)?;
            ensure(got == *want, "at_hash")?;
        }
        claims.subject().clone()
    }};
}

macro_rules! knows {
    ($rig:expr, $client:expr, $tokens:expr, $subject:expr) => {{
        let info: CoreUserInfoClaims = $client.user_info($tokens.access_token().clone(), Some($subject.clone()))?.request(&$rig.http)?;
        ensure(info.email().map(|e| e.to_string()) == Some(var("EMAIL")), "e-mail address of userinfo")
    }};
}

fn parameter(url: &url::Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

impl Rig {
    fn new() -> Result<Rig, Box<dyn Error>> {
        let http = blocking::ClientBuilder::new().redirect(redirect::Policy::none()).build()?;
        let metadata = Metadata::discover(&IssuerUrl::new(var("ISSUER"))?, &http)?;
        Ok(Rig { http, metadata })
    }

    /// What the person at the browser does; answers where that led to.
    fn person(&self, act: &str, asked: &[(&str, &str)]) -> Result<url::Url, Box<dyn Error>> {
        let asked: serde_json::Map<String, serde_json::Value> =
            asked.iter().chain(&[("who", "rust")]).map(|(k, v)| (k.to_string(), (*v).into())).collect();
        let answer = self.http.post(format!("{}/{act}", var("PERSON"))).body(serde_json::to_string(&asked)?).send()?.text()?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        if let Some(error) = answer["error"].as_str() {
            return Err(error.into());
        }
        Ok(url::Url::parse(answer["url"].as_str().unwrap_or("about:blank"))?)
    }

    fn code(&self) -> Outcome {
        let client = client!(self, "web", secret());
        let (tokens, subject) = sign_in!(self, client);
        knows!(self, client, tokens, subject)
    }

    fn public(&self) -> Outcome {
        let client = client!(self, "public", None);
        let (tokens, subject) = sign_in!(self, client);
        knows!(self, client, tokens, subject)
    }

    fn refresh(&self) -> Outcome {
        let client = client!(self, "web", secret());
        let (first, subject) = sign_in!(self, client);
        let old = first.refresh_token().ok_or("no refresh token")?;
        let second = client.exchange_refresh_token(old)?.request(&self.http)?;
        ensure(second.refresh_token().map(|t| t.secret()) != Some(old.secret()), "rotation")?;
        ensure(verified!(client, second, |_: Option<&Nonce>| Ok(())) == subject, "subject")
    }

    fn client_credentials(&self) -> Outcome {
        self.machine().map(|_| ())
    }

    fn machine(&self) -> Result<AccessToken, Box<dyn Error>> {
        let client = client!(self, "machine", secret());
        let tokens = client
            .exchange_client_credentials()?
            .add_scope(Scope::new("orders.read".into()))
            .add_extra_param("resource", var("AUDIENCE"))
            .request(&self.http)?;
        Ok(tokens.access_token().clone())
    }

    fn introspection(&self) -> Outcome {
        let token = self.machine()?;
        let endpoint = self.metadata.additional_metadata().introspection_endpoint.clone();
        let client = client!(self, "machine", secret()).set_introspection_url(endpoint);
        let facts = client.introspect(&token).request(&self.http)?;
        ensure(facts.active() && facts.client_id().map(|id| id.as_str()) == Some("machine"), "facts")?;
        ensure(!client.introspect(&AccessToken::new("nonsense".into())).request(&self.http)?.active(), "nonsense is active")
    }

    fn device(&self) -> Outcome {
        let endpoint = self.metadata.additional_metadata().device_authorization_endpoint.clone();
        let client = client!(self, "tv", None).set_device_authorization_url(endpoint);
        let started: CoreDeviceAuthorizationResponse =
            client.exchange_device_code().add_scopes(["openid", "email"].map(|s| Scope::new(s.into()))).request(&self.http)?;
        self.person("device", &[("url", started.verification_uri().as_str()), ("code", started.user_code().secret())])?;
        let tokens = client.exchange_device_access_token(&started)?.request(&self.http, std::thread::sleep, None)?;
        let subject = verified!(client, tokens, |_: Option<&Nonce>| Ok(()));
        knows!(self, client, tokens, subject)
    }

    fn registration(&self) -> Outcome {
        let endpoint = self.metadata.registration_endpoint().ok_or("no registration_endpoint")?;
        let asked = CoreClientRegistrationRequest::new(vec![RedirectUrl::new(var("CALLBACK"))?], EmptyAdditionalClientMetadata::default())
            .set_grant_types(Some(vec![CoreGrantType::AuthorizationCode, CoreGrantType::RefreshToken]));
        let answer = asked.register(endpoint, &self.http)?;
        let client = client!(self, answer.client_id().as_str(), answer.client_secret().cloned());
        let (tokens, subject) = sign_in!(self, client);
        knows!(self, client, tokens, subject)
    }

    fn logout(&self) -> Outcome {
        let client = client!(self, "web", secret());
        let (tokens, _) = sign_in!(self, client);
        let leave = LogoutRequest::from(self.metadata.additional_metadata().end_session_endpoint.clone())
            .set_id_token_hint(tokens.id_token().ok_or("no ID token")?)
            .set_post_logout_redirect_uri(PostLogoutRedirectUrl::new(var("BYE"))?)
            .set_state(CsrfToken::new("kept".into()));
        let landed = self.person("leave", &[("url", leave.http_get_url().as_str())])?;
        ensure(landed.as_str() == format!("{}?state=kept", var("BYE")), landed.as_str())
    }
}

fn chain(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        words += &format!(": {cause}");
        next = cause.source();
    }
    format!("{words} ({error:?})").replace('\n', "\\n")
}

fn main() -> Outcome {
    let rig = Rig::new()?;
    let flows: [(&str, fn(&Rig) -> Outcome); 8] = [
        ("code", Rig::code),
        ("public", Rig::public),
        ("refresh", Rig::refresh),
        ("client_credentials", Rig::client_credentials),
        ("introspection", Rig::introspection),
        ("device", Rig::device),
        ("registration", Rig::registration),
        ("logout", Rig::logout),
    ];
    for (name, flow) in flows {
        match flow(&rig) {
            Ok(()) => println!("ok {name}"),
            Err(error) => println!("FAILED {name}: {}", chain(error.as_ref())),
        }
    }
    Ok(())
}
