package budget

import "github.com/weirhq/weir/catalog"

// Rate is how often something may happen; a connector may declare one.
type Rate = catalog.Rate

// ErrRate says that a text is no rate.
var ErrRate = catalog.ErrRate

// ParseRate reads a rate such as "100/min", "5/s" or "1000/10min".
func ParseRate(text string) (Rate, error) { return catalog.ParseRate(text) }
