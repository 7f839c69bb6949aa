// Package firstrun starts the provider as a newcomer does, from nothing.
package firstrun
