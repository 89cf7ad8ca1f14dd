// Tests of Weir against software of others: stripe-mock, Stripe's SDK, a real browser. A module of
// its own, so that none of it enters the module graph of a connector author.
module github.com/weirhq/weir/tools/foreign

go 1.26.0

replace github.com/weirhq/weir => ../..

require (
	github.com/chromedp/cdproto v0.159.0 // indirect
	github.com/chromedp/chromedp v0.23.0 // indirect
	github.com/davecgh/go-spew v1.1.0 // indirect
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	github.com/lestrrat-go/jspointer v0.0.0-20181205001929-82fadba7561c // indirect
	github.com/lestrrat-go/jsref v0.0.0-20181205001954-1b590508f37d // indirect
	github.com/lestrrat-go/jsschema v0.0.0-20181205002244-5c81c58ffcc3 // indirect
	github.com/lestrrat-go/jsval v0.0.0-20181205002323-20277e9befc0 // indirect
	github.com/lestrrat-go/pdebug v0.0.0-20180220043849-39f9a71bcabe // indirect
	github.com/lestrrat-go/structinfo v0.0.0-20190212233437-acd51874663b // indirect
	github.com/pkg/errors v0.8.1-0.20170505043639-c605e284fe17 // indirect
	github.com/stretchr/testify v1.12.1 // indirect
	github.com/stripe/stripe-go/v84 v84.4.1 // indirect
	github.com/stripe/stripe-mock v0.203.0 // indirect
	github.com/weirhq/weir v0.0.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
