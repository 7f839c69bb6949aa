package oidc

import (
	"maps"
	"slices"

	"signet/internal/oauth/client"
)

// grantsMetadata is the part of discovery about grants beyond the code.
type grantsMetadata struct {
	DeviceEndpoint string `json:"device_authorization_endpoint,omitempty"` // RFC 8628 §4
	cibaMetadata
	DetailTypes          []string `json:"authorization_details_types_supported,omitempty"` // RFC 9396 §10
	IntrospectionAlgs    []string `json:"introspection_signing_alg_values_supported"`      // RFC 9701 §7
	IntrospectionEncAlgs []string `json:"introspection_encryption_alg_values_supported"`
	IntrospectionEncEncs []string `json:"introspection_encryption_enc_values_supported"`
}

func (e *Endpoints) grantsMetadata() grantsMetadata {
	m := grantsMetadata{
		DetailTypes:       slices.Sorted(maps.Keys(e.engine.Policy().DetailTypes)),
		IntrospectionAlgs: client.ResponseAlgs(), IntrospectionEncAlgs: client.EncryptionAlgs(), IntrospectionEncEncs: client.ContentEncryptions(),
	}
	if slices.Contains(e.engine.GrantTypes(), client.GrantDeviceCode) {
		m.DeviceEndpoint = e.engine.Issuer() + pathDevice
	}
	if slices.Contains(e.engine.GrantTypes(), client.GrantCIBA) {
		no := false
		m.cibaMetadata = cibaMetadata{
			BackchannelEndpoint: e.engine.Issuer() + pathBackchannel, DeliveryModes: []string{client.DeliverPoll, client.DeliverPing},
			BackchannelAlgs: client.SignatureAlgs(), UserCodes: &no,
		}
	}
	return m
}

// cibaMetadata is CIBA §4.
type cibaMetadata struct {
	BackchannelEndpoint string   `json:"backchannel_authentication_endpoint,omitempty"`
	DeliveryModes       []string `json:"backchannel_token_delivery_modes_supported,omitempty"`
	BackchannelAlgs     []string `json:"backchannel_authentication_request_signing_alg_values_supported,omitempty"`
	UserCodes           *bool    `json:"backchannel_user_code_parameter_supported,omitempty"`
}
