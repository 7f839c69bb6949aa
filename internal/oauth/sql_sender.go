package oauth

const (
	// sqlMarkProof admits a mark once: no row back means that it was used before.
	sqlMarkProof = `INSERT INTO proof_mark (mark, expires_at) VALUES ($1, $2) ON CONFLICT (mark) DO NOTHING RETURNING mark`

	// sqlKeepRefresh moves the end of a refresh token that stays, while its grant stands and nobody
	// has exchanged it for another (as happens to one from before the client's profile).
	sqlKeepRefresh = `UPDATE refresh_token SET expires_at = $2
		WHERE token_hash = $1 AND EXISTS (SELECT 1 FROM oauth_grant g WHERE g.id = refresh_token.grant_id AND g.revoked_at = 0)
			AND NOT EXISTS (SELECT 1 FROM refresh_token n WHERE n.predecessor_hash = $1)
		RETURNING token_hash`
)
