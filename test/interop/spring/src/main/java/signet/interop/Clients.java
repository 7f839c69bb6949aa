package signet.interop;

import com.nimbusds.jose.jwk.JWK;
import java.text.ParseException;
import java.time.Duration;
import java.util.List;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.security.oauth2.client.AuthorizedClientServiceOAuth2AuthorizedClientManager;
import org.springframework.security.oauth2.client.OAuth2AuthorizedClientManager;
import org.springframework.security.oauth2.client.OAuth2AuthorizedClientProviderBuilder;
import org.springframework.security.oauth2.client.OAuth2AuthorizedClientService;
import org.springframework.security.oauth2.client.TokenExchangeOAuth2AuthorizedClientProvider;
import org.springframework.security.oauth2.client.endpoint.NimbusJwtClientAuthenticationParametersConverter;
import org.springframework.security.oauth2.client.endpoint.OAuth2AuthorizationCodeGrantRequest;
import org.springframework.security.oauth2.client.endpoint.RestClientAuthorizationCodeTokenResponseClient;
import org.springframework.security.oauth2.client.endpoint.RestClientClientCredentialsTokenResponseClient;
import org.springframework.security.oauth2.client.endpoint.RestClientTokenExchangeTokenResponseClient;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.client.registration.ClientRegistrationRepository;
import org.springframework.security.oauth2.client.registration.ClientRegistrations;
import org.springframework.security.oauth2.client.registration.InMemoryClientRegistrationRepository;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;
import org.springframework.security.oauth2.core.OAuth2Token;
import org.springframework.util.LinkedMultiValueMap;

/** What this application is at the provider, and how it gets tokens. */
@Configuration
class Clients {
    @Value("${ISSUER}") String issuer;
    @Value("${SECRET}") String secret;
    @Value("${AUDIENCE}") String audience;
    @Value("${KEY}") String key;

    private ClientRegistration.Builder registration(String id) {
        return ClientRegistrations.fromIssuerLocation(issuer).registrationId(id).clientId(id).clientSecret(secret)
            .redirectUri("{baseUrl}/login/oauth2/code/{registrationId}").scope("openid", "profile", "email", "offline_access");
    }

    @Bean
    ClientRegistrationRepository registrations() {
        return new InMemoryClientRegistrationRepository(
            registration("web").build(),
            registration("keyed").clientSecret(null).clientAuthenticationMethod(ClientAuthenticationMethod.PRIVATE_KEY_JWT).build(),
            registration("orders").scope("openid", "orders.read").build(),
            registration("machine").authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS).scope("orders.read").build(),
            registration("exchanger").authorizationGrantType(AuthorizationGrantType.TOKEN_EXCHANGE).scope("orders.read").build());
    }

    @Bean
    RestClientAuthorizationCodeTokenResponseClient codes() throws ParseException {
        JWK jwk = JWK.parse(key);
        var byKey = new NimbusJwtClientAuthenticationParametersConverter<OAuth2AuthorizationCodeGrantRequest>(registration -> jwk);
        // The provider takes assertions that are meant for its issuer, not for one of its endpoints.
        byKey.setJwtClientAssertionCustomizer(context -> context.getClaims().audience(List.of(issuer)));
        var client = new RestClientAuthorizationCodeTokenResponseClient();
        client.addParametersConverter(byKey);
        return client;
    }

    @Bean
    OAuth2AuthorizedClientManager manager(ClientRegistrationRepository registrations, OAuth2AuthorizedClientService kept) {
        LinkedMultiValueMap<String, String> resource = new LinkedMultiValueMap<>();
        resource.add("resource", audience);
        var credentials = new RestClientClientCredentialsTokenResponseClient();
        credentials.addParametersConverter(request -> resource);
        var exchanges = new RestClientTokenExchangeTokenResponseClient();
        exchanges.addParametersConverter(request -> resource);
        var exchange = new TokenExchangeOAuth2AuthorizedClientProvider();
        exchange.setAccessTokenResponseClient(exchanges);
        exchange.setSubjectTokenResolver(context -> (OAuth2Token) context.getPrincipal().getDetails());

        var manager = new AuthorizedClientServiceOAuth2AuthorizedClientManager(registrations, kept);
        manager.setAuthorizedClientProvider(OAuth2AuthorizedClientProviderBuilder.builder()
            .authorizationCode()
            .refreshToken(refresh -> refresh.clockSkew(Duration.ofDays(1))) // every token counts as old
            .clientCredentials(machine -> machine.accessTokenResponseClient(credentials))
            .provider(exchange)
            .build());
        return manager;
    }
}
