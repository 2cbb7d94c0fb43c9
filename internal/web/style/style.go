// Package style is the look that the agent's page and the loader's page share.
package style

import _ "embed" // the style sheet

// CSS is the style sheet, in light and dark.
//
//go:embed style.css
var CSS string
