package deps
import (
 _ "github.com/ory/fosite"
 _ "github.com/jackc/pgx/v5/pgxpool"
 _ "modernc.org/sqlite"
 _ "github.com/go-jose/go-jose/v4"
 _ "golang.org/x/crypto/argon2"
 _ "github.com/coreos/go-oidc/v3/oidc"
 _ "golang.org/x/oauth2"
 _ "github.com/spf13/cobra"
 _ "go.yaml.in/yaml/v3"
 _ "github.com/google/uuid"
 _ "github.com/prometheus/client_golang/prometheus"
 _ "github.com/nicksnyder/go-i18n/v2/i18n"
 _ "github.com/google/go-cmp/cmp"
 _ "golang.org/x/text/secure/precis"
 _ "golang.org/x/net/idna"
)
