package signet.interop;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.annotation.Order;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.oauth2.client.endpoint.RestClientAuthorizationCodeTokenResponseClient;
import org.springframework.security.oauth2.client.oidc.web.logout.OidcClientInitiatedLogoutSuccessHandler;
import org.springframework.security.oauth2.client.registration.ClientRegistrationRepository;
import org.springframework.security.oauth2.client.web.DefaultOAuth2AuthorizationRequestResolver;
import org.springframework.security.oauth2.client.web.OAuth2AuthorizationRequestCustomizers;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.security.oauth2.jwt.SupplierJwtDecoder;
import org.springframework.security.web.SecurityFilterChain;

@Configuration
class Security {
    @Value("${ISSUER}") String issuer;
    @Value("${SECRET}") String secret;
    @Value("${AUDIENCE}") String audience;
    @Value("${BYE}") String bye;

    /** Takes access tokens of RFC 9068, as bearer tokens and bound by DPoP. */
    @Bean
    @Order(1)
    SecurityFilterChain jwt(HttpSecurity http) throws Exception {
        return http.securityMatcher("/api/jwt").csrf(csrf -> csrf.disable())
            .authorizeHttpRequests(who -> who.anyRequest().hasAuthority("SCOPE_orders.read"))
            .oauth2ResourceServer(api -> api.jwt(jwt -> jwt.decoder(decoder()))).build();
    }

    JwtDecoder decoder() {
        return new SupplierJwtDecoder(() -> {
            var decoder = NimbusJwtDecoder.withIssuerLocation(issuer).validateType(false).build();
            decoder.setJwtValidator(JwtValidators.createAtJwtValidator().issuer(issuer).audience(audience).clientId("machine").build());
            return decoder;
        });
    }

    /** Asks the provider about every token. */
    @Bean
    @Order(2)
    SecurityFilterChain opaque(HttpSecurity http) throws Exception {
        return http.securityMatcher("/api/opaque").csrf(csrf -> csrf.disable())
            .authorizeHttpRequests(who -> who.anyRequest().hasAuthority("SCOPE_orders.read"))
            .oauth2ResourceServer(api -> api.opaqueToken(token -> token
                .introspectionUri(issuer + "/oauth2/introspect").introspectionClientCredentials("machine", secret))).build();
    }

    @Bean
    @Order(3)
    SecurityFilterChain web(HttpSecurity http, ClientRegistrationRepository registrations, RestClientAuthorizationCodeTokenResponseClient codes) throws Exception {
        var requests = new DefaultOAuth2AuthorizationRequestResolver(registrations);
        requests.setAuthorizationRequestCustomizer(OAuth2AuthorizationRequestCustomizers.withPkce().andThen(request -> request
            .parameters(all -> {
                if ("orders".equals(all.get("client_id"))) {
                    all.put("resource", audience); // RFC 8707
                }
            })));
        var goodbye = new OidcClientInitiatedLogoutSuccessHandler(registrations);
        goodbye.setPostLogoutRedirectUri(bye);
        return http.csrf(csrf -> csrf.disable()) // its only form is the test's
            .authorizeHttpRequests(who -> who.requestMatchers("/").permitAll().anyRequest().authenticated())
            .oauth2Login(login -> login
                .authorizationEndpoint(endpoint -> endpoint.authorizationRequestResolver(requests))
                .tokenEndpoint(endpoint -> endpoint.accessTokenResponseClient(codes))
                .defaultSuccessUrl("/me", true))
            .logout(logout -> logout.logoutSuccessHandler(goodbye))
            .oidcLogout(logout -> logout.backChannel(Customizer.withDefaults()))
            .build();
    }
}
