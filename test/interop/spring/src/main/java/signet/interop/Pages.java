package signet.interop;

import java.util.Map;
import org.springframework.security.authentication.TestingAuthenticationToken;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.client.OAuth2AuthorizeRequest;
import org.springframework.security.oauth2.client.OAuth2AuthorizedClient;
import org.springframework.security.oauth2.client.OAuth2AuthorizedClientManager;
import org.springframework.security.oauth2.client.OAuth2AuthorizedClientService;
import org.springframework.security.oauth2.client.authentication.OAuth2AuthenticationToken;
import org.springframework.security.oauth2.core.oidc.user.OidcUser;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

@RestController
class Pages {
    private final OAuth2AuthorizedClientManager manager;
    private final OAuth2AuthorizedClientService kept;

    Pages(OAuth2AuthorizedClientManager manager, OAuth2AuthorizedClientService kept) {
        this.manager = manager;
        this.kept = kept;
    }

    @GetMapping("/")
    String home() {
        return "up";
    }

    /** What the ID token and userinfo said. */
    @GetMapping("/me")
    Map<String, Object> me(@AuthenticationPrincipal OidcUser user) {
        return Map.of("id_token", user.getIdToken().getClaims(), "userinfo", user.getUserInfo() == null ? Map.of() : user.getUserInfo().getClaims());
    }

    /** The tokens before and after a refresh. */
    @GetMapping("/refresh")
    Map<String, Object> refresh(OAuth2AuthenticationToken who) {
        OAuth2AuthorizedClient before = kept.loadAuthorizedClient("web", who.getName());
        OAuth2AuthorizedClient after = manager.authorize(OAuth2AuthorizeRequest.withAuthorizedClient(before).principal(who).build());
        return Map.of("before", value(before), "after", value(after), "old", before.getRefreshToken().getTokenValue(), "new", after.getRefreshToken().getTokenValue());
    }

    @GetMapping("/machine")
    Map<String, Object> machine() {
        var who = new TestingAuthenticationToken("machine", "");
        return Map.of("access_token", value(manager.authorize(OAuth2AuthorizeRequest.withClientRegistrationId("machine").principal(who).build())));
    }

    /** A token for another API in exchange for the user's. */
    @GetMapping("/exchange")
    Map<String, Object> exchange(OAuth2AuthenticationToken user) {
        var who = new TestingAuthenticationToken(user.getName(), "");
        who.setDetails(kept.loadAuthorizedClient("orders", user.getName()).getAccessToken());
        return Map.of("access_token", value(manager.authorize(OAuth2AuthorizeRequest.withClientRegistrationId("exchanger").principal(who).build())));
    }

    @GetMapping("/api/jwt")
    String jwt() {
        return "orders";
    }

    @GetMapping("/api/opaque")
    String opaque() {
        return "orders";
    }

    private static String value(OAuth2AuthorizedClient client) {
        return client.getAccessToken().getTokenValue();
    }
}
