package http

import (
	"encoding/json"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/httpauth"
	"github.com/weirhq/weir/framework/webhook"
)

// Settings configure a connection of class http.
type Settings struct {
	Reading

	Mode    string           `json:"mode" default:"poll" enum:"poll,push" doc:"poll asks the provider; push receives its webhooks at path."`
	Stream  string           `json:"stream" doc:"The key of the one stream. In push mode the default is events."`
	Streams []StreamSettings `json:"streams" doc:"Several streams, each with a key and whatever differs from the settings above them."`

	TimeoutSeconds float64         `json:"timeout_seconds" default:"30" min:"0.1" max:"60" doc:"How long one request may take, from dialling to the end of its body."`
	RetryAttempts  int             `json:"retry_attempts" default:"5" min:"0" max:"20" doc:"How often a request that failed in passing is tried again at once, after the first try."`
	Authentication httpauth.Config `json:"authentication" doc:"How requests are authenticated."`
	Compression    string          `json:"compression" default:"none" enum:"none,gzip,zstd" doc:"How request bodies are compressed. Compressed answers are always understood (gzip)."`
	Threshold      int             `json:"compression_threshold" default:"1024" min:"0" doc:"The smallest body in bytes that is compressed."`
	TLS            TLS             `json:"tls" doc:"How servers prove themselves, and the client itself."`
	Batch          Batch           `json:"batch" doc:"How many records of one answer are recorded at once."`
	Pool           Pool            `json:"pool" doc:"How many requests are at work at a time."`
	Proxy          framework.URL   `json:"proxy" doc:"A proxy for every request. Its own address is guarded as any other."`
	AllowHosts     []string        `json:"allow_hosts" doc:"Further hosts that a next page may lead to. Credentials go there too."`

	Vars map[string]framework.Secret `json:"vars" doc:"Texts for templates, as .vars.name. They are treated as secrets."`

	Auth           *webhook.AuthSetting         `json:"auth" doc:"push: how deliveries are verified: a mode or preset by name, or a mapping with type and the mode's fields."`
	WebhookSecret  framework.Secrets            `json:"webhook_secret" doc:"push: the secret that deliveries are verified with, or a list while it is rotated."`
	VerifyToken    framework.Secrets            `json:"webhook_verify_token" doc:"push: the token that a handshake must bring, for auth: meta."`
	Secrets        map[string]framework.Secrets `json:"secrets" doc:"push: further secrets, for modes of several parts: secret_setting: secrets.name."`
	IdempotencyKey []string                     `json:"idempotency_key" doc:"push: where the sender's id of a delivery is: header:Name or body:path, the first that is there. The default is the preset's, else the hash of the body."`
	Routing        *Routing                     `json:"routing" doc:"push: which stream a delivery goes to."`
}

// Reading says what is asked for and what the answer means. It stands for the
// whole connection and, with what differs, for each stream.
type Reading struct {
	Endpoint template            `json:"endpoint" url:"true" doc:"The URL that is asked, http or https, as a template. Refused in push mode."`
	Path     string              `json:"path" doc:"poll: added to the endpoint's path, for a stream of its own. push: the last part of the intake's address."`
	Method   string              `json:"method" default:"GET" enum:"GET,POST,PUT,PATCH,DELETE" doc:"The request's method."`
	Headers  []Header            `json:"headers" doc:"Headers; repeats of a name are sent in order."`
	Query    map[string]template `json:"query" doc:"Parameters that are added to the query, as templates. One that gives null is left out."`
	Body     json.RawMessage     `json:"body" doc:"The request's body: text as a template, or a mapping or list that is sent as JSON, with templates in its texts."`

	IntervalMS int64  `json:"interval_ms" default:"60000" min:"1000" doc:"How often the stream is read, from start to start, in whole seconds."`
	Schedule   string `json:"schedule" doc:"A cron expression or descriptor, instead of interval_ms."`

	Format        string       `json:"format" default:"json" enum:"json,ndjson,csv" doc:"How the answer is written."`
	CSV           *CSV         `json:"csv" doc:"How CSV is written."`
	Records       expression   `json:"records" doc:"jq: the records in the answer. The default is every entry of a list, and an object as one record."`
	Key           expressions  `json:"key" doc:"jq: what names the entity, or several parts of it. The default is .id, and where there is none the record's hash."`
	Version       expression   `json:"version" doc:"jq: what tells versions of the entity apart. Without it a record is compared with the entity's latest."`
	Time          expression   `json:"time" doc:"jq: when the entity took this version: RFC 3339 or Unix seconds. The default is the time of the request."`
	EventType     expression   `json:"event_type" doc:"jq: the canonical type. The default is the stream's key."`
	Deleted       expression   `json:"deleted" doc:"jq: true for a record that says that its entity is gone."`
	Pagination    *Pagination  `json:"pagination" doc:"How the next page is found."`
	Incremental   *Incremental `json:"incremental" doc:"Ask only for what changed since the last run."`
	Window        *Window      `json:"window" doc:"Ask for time windows, .from and .to; makes backfills possible."`
	Checks        []Check      `json:"checks" doc:"What makes an answer with a good status a failure."`
	EmptyStatuses []int        `json:"empty_statuses" doc:"Statuses that mean no records, such as 404."`
}

// StreamSettings are one stream and what differs from the connection's settings.
type StreamSettings struct {
	Key string `json:"stream" required:"true" doc:"The stream's key."`

	Reading `default:"-"`
}

// Header is one header of a request.
type Header struct {
	Name  string           `json:"name" required:"true" doc:"The header's name."`
	Value framework.Secret `json:"value" required:"true" doc:"Its value, as a template."`
}

// CSV says how CSV is written.
type CSV struct {
	Delimiter string   `json:"delimiter" default:"," doc:"The character between fields."`
	Columns   []string `json:"columns" doc:"The names of the columns, for a file without a line of names."`
}

// Pagination says how the next page is found.
type Pagination struct {
	Type       string     `json:"type" required:"true" enum:"none,cursor,link,next_url,offset,page" doc:"cursor: a value in the body; link: the Link header; next_url: a URL in the body; offset and page: numbers."`
	Cursor     expression `json:"cursor" doc:"jq: cursor: the value that asks for the next page; null, false or empty at the end."`
	Next       expression `json:"next" doc:"jq: next_url: the next page's URL; null or empty at the end."`
	HasMore    expression `json:"has_more" doc:"jq: false at the end."`
	Param      string     `json:"param" doc:"The query parameter of the cursor, offset or page. Without it a template asks with .cursor, .offset or .page."`
	Limit      int        `json:"limit" min:"1" doc:"How many records a page has. offset, page: fewer end the run."`
	LimitParam string     `json:"limit_param" doc:"The query parameter of limit."`
	Start      int64      `json:"start" default:"0" min:"0" doc:"offset, page: the number of the first one. page: usually 1."`
}

// Incremental says how to ask for what changed.
type Incremental struct {
	Field    expression `json:"field" required:"true" doc:"jq, on a record: what grows with every change: a time or a number."`
	Param    string     `json:"param" doc:"The query parameter of the highest value that was read. Without it a template asks with .since."`
	Lookback int64      `json:"lookback_seconds" min:"0" doc:"How far to reach back, for records that appear late."`
	Start    template   `json:"start" doc:"The value of the first run. Without it the first run asks for everything."`
}

// Window says how time windows are asked for.
type Window struct {
	Lookback int64  `json:"lookback_seconds" min:"0" doc:"How far a window reaches back into the last one."`
	Start    string `json:"start" doc:"Where the first window begins, RFC 3339. Without it .from is null in the first run."`
	Step     int64  `json:"step_seconds" min:"0" doc:"The longest window that the provider answers; longer ones are asked for in steps."`
}

// Check is what makes an answer a failure.
type Check struct {
	When    expression `json:"when" required:"true" doc:"jq, on the answer: true for a failure."`
	Message expression `json:"message" doc:"jq: what the provider says about it."`
	Class   string     `json:"class" default:"transient" enum:"transient,auth,permanent" doc:"Whether trying again helps."`
}

// TLS are the settings of encrypted connections.
type TLS struct {
	CA          string           `json:"ca" doc:"PEM certificates of the authorities that are trusted instead of the system's; ${file:…} reads a file."`
	Certificate string           `json:"certificate" doc:"The client's own certificate, PEM."`
	Key         framework.Secret `json:"key" doc:"The key of the certificate, PEM."`
	ServerName  string           `json:"server_name" doc:"The name that is verified instead of the host's."`
	MinVersion  string           `json:"min_version" default:"1.2" enum:"1.2,1.3" doc:"The least version."`
	Insecure    bool             `json:"insecure" doc:"Verifies nothing: whoever is in between reads and changes all. It is logged and shown as a warning."`
}

// Batch bounds what is recorded at once.
type Batch struct {
	MaxEvents int   `json:"max_events" min:"1" max:"10000" doc:"The most records that are recorded at once. The default is what one answer holds, at most 10,000."`
	TimeoutMS int64 `json:"timeout_ms" min:"0" doc:"Of no effect on a source, which has its records at once."`
	MaxBytes  int   `json:"max_bytes" min:"1" max:"16777216" doc:"The most bytes that are recorded at once. The default is 16 MiB."`
}

// Pool bounds the requests at work.
type Pool struct {
	PerHost int `json:"max_per_host" default:"24" min:"1" max:"1000" doc:"Requests to one host at a time."`
	Total   int `json:"max_total" default:"48" min:"1" max:"1000" doc:"Requests in all at a time."`
}

// Routing says which stream a delivery goes to.
type Routing struct {
	Header  string            `json:"header" doc:"The header that names the kind. Refused where the signature does not cover headers, save for providers that say the kind nowhere else."`
	Body    expression        `json:"body" doc:"jq, on each part of the body: what names the kind."`
	Each    expression        `json:"each" doc:"jq: the parts of the body that are routed one by one. The default is every entry of a list, and an object as one."`
	Streams map[string]string `json:"streams" doc:"Which stream each kind goes to. A kind that is a stream's key goes there without an entry."`
	Default string            `json:"default" default:"events" doc:"The stream of every other kind."`
}
