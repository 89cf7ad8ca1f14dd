package github

//go:generate go tool catalogcheck -write .

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"

	"github.com/weirhq/weir/catalog"
	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

var (
	// Issues are the issues of the repositories, without pull requests.
	Issues = catalog.Poll[ingest.Record[Issue], issuesCursor]("issues", catalog.PollSpec{Schedule: "*/10 * * * *"})
	// Repositories are the repositories themselves.
	Repositories = catalog.Poll[ingest.Record[Repository], repositoriesCursor]("repositories", catalog.PollSpec{Schedule: "@hourly"})
	// Events are the webhook deliveries about anything else, as they came.
	Events = catalog.Webhook[ingest.Record[Envelope]]("events")
	// Inbox receives GitHub's webhooks.
	Inbox = catalog.Receive("github", catalog.EndpointSpec{Auth: catalog.AuthGitHub})
)

// Connector declares what is ingested from GitHub.
var Connector = catalog.Connector{
	Key:       "github",
	Streams:   []catalog.Stream{Issues, Repositories, Events},
	Endpoints: []catalog.Endpoint{Inbox},
	Hosts:     []string{"api.github.com"},
}

// Settings configure a connection.
type Settings struct {
	// Token reads private repositories and raises the rate limit from 60 to
	// 5,000 requests an hour.
	Token framework.Secret `json:"token"`
	// Org is an organization all of whose repositories are read.
	Org string `json:"org"`
	// Repos are further repositories, as "owner/name".
	Repos []string `json:"repos"`
	// BaseURL is where the API is, for GitHub Enterprise Server
	// "https://HOST/api/v3".
	BaseURL framework.URL `json:"base_url" default:"https://api.github.com"`
}

// maxRepos bounds the repositories of one connection: the cursor holds a
// position for each.
const maxRepos = 500

var (
	orgPattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)
	repoPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}/[A-Za-z0-9_.-]{1,100}$`)
)

// Validate checks what the settings mean together.
func (s *Settings) Validate() error {
	var errs framework.SettingErrors
	if s.Org == "" && len(s.Repos) == 0 {
		errs = append(errs, &framework.SettingError{Name: "repos", Reason: `is empty and so is "org"; name at least one repository or an organization`})
	}
	if s.Org != "" && !orgPattern.MatchString(s.Org) {
		errs = append(errs, &framework.SettingError{Name: "org", Reason: "is not the name of an organization"})
	}
	if len(s.Repos) > maxRepos {
		errs = append(errs, &framework.SettingError{Name: "repos", Reason: fmt.Sprintf("names more than %d repositories; spread them over several connections", maxRepos)})
	}
	for i, repo := range s.Repos {
		if !repoPattern.MatchString(repo) {
			errs = append(errs, &framework.SettingError{Name: fmt.Sprintf("repos[%d]", i), Reason: `must be "owner/name"`})
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// Plugin links declaration, settings and routes.
var Plugin = framework.Define(Connector, open)

func open(_ context.Context, in framework.Instance[Settings]) (framework.Routes, error) {
	c := &client{http: in.HTTP, log: in.Log, settings: in.Settings}
	return framework.Routes{
		framework.Sync(Issues, c.syncIssues),
		framework.Sync(Repositories, c.syncRepositories),
		framework.Webhook(Inbox, receive),
	}, nil
}

// notReadable logs a repository that a run leaves out.
func (c *client) notReadable(repo string, why error) {
	c.log.Warn("repository is left out: it does not exist, has no issues, or the token may not read it",
		slog.String("repository", repo), slog.Any("err", why))
}

var errNotFound = errors.New("not found")
