// Package hygiene looks at the files of the repository as text: none of them may depend on where
// somebody happened to work.
package hygiene
