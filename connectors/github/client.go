package github

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/ingest"
)

// perPage is the most that GitHub gives at once.
const perPage = 100

type client struct {
	http     *http.Client
	log      *slog.Logger
	settings Settings
}

// response is one answer of the API.
type response struct {
	*framework.Fetched
	// next is the URL of the next page, or "".
	next string
}

// url returns the address of a path of the API.
func (c *client) url(path string, query url.Values) string {
	address := strings.TrimRight(string(c.settings.BaseURL), "/") + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	return address
}

func (c *client) get(ctx context.Context, address string) (*response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, framework.Permanent(fmt.Errorf("make request: %w", err))
	}
	request.Header.Set("Accept", "application/vnd.github+json")
	request.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	request.Header.Set("User-Agent", "weir")
	if token := c.settings.Token.Reveal(); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	fetched, err := framework.Fetch(c.http, request)
	if err != nil {
		return nil, classify(fetched, err)
	}
	if fetched.ReadAt.IsZero() {
		return nil, errors.New("the response has no Date, by which polled records are ordered")
	}
	next, err := c.nextPage(fetched.Header)
	if err != nil {
		return nil, err
	}
	return &response{fetched, next}, nil
}

// classify adds what GitHub says in its own way: an exhausted rate limit is a
// 403 that looks like a refusal, and names the second of its end.
func classify(f *framework.Fetched, err error) error {
	switch {
	case f == nil:
	case f.Status == http.StatusNotFound, f.Status == http.StatusGone:
		return fmt.Errorf("%w: %w", errNotFound, err)
	case f.Status != http.StatusForbidden && f.Status != http.StatusTooManyRequests, f.Header.Get("Retry-After") != "":
	case f.Header.Get("X-RateLimit-Remaining") == "0":
		wait := time.Minute
		reset, parseErr := strconv.ParseInt(f.Header.Get("X-RateLimit-Reset"), 10, 64)
		if parseErr == nil && !f.ReadAt.IsZero() {
			wait = min(max(time.Unix(reset, 0).Sub(f.ReadAt), time.Second), framework.MaxRetryAfter)
		}
		return framework.RetryAfter(fmt.Errorf("rate limit is used up: %w", err), wait)
	}
	return err
}

// nextPage returns the URL that the Link header (RFC 8288) calls "next". It must
// lead to the configured host: the token goes there.
func (c *client) nextPage(h http.Header) (string, error) {
	for link := range strings.SplitSeq(strings.Join(h.Values("Link"), ","), ",") {
		target, parameters, found := strings.Cut(strings.TrimSpace(link), ">")
		if !found || !slices.ContainsFunc(strings.Split(parameters, ";"), isNext) {
			continue
		}
		address := strings.TrimPrefix(target, "<")
		if !c.ours(address) {
			return "", framework.Permanent(errors.New("the Link header leads to another host than base_url; nothing is sent there"))
		}
		return address, nil
	}
	return "", nil
}

func isNext(parameter string) bool {
	name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
	return strings.EqualFold(name, "rel") && strings.Trim(value, `"`) == "next"
}

// ours reports whether address has the scheme and host of the configured API.
func (c *client) ours(address string) bool {
	base, baseErr := url.Parse(string(c.settings.BaseURL))
	target, err := url.Parse(address)
	return baseErr == nil && err == nil && target.User == nil &&
		target.Scheme == base.Scheme && strings.EqualFold(target.Host, base.Host)
}

// repositories lists the names of all repositories of the connection: those of
// the organization, then the configured ones.
func (c *client) repositories(ctx context.Context) ([]string, error) {
	var names []string
	next := ""
	if c.settings.Org != "" {
		next = c.orgURL()
	}
	for next != "" {
		page, err := c.get(ctx, next)
		if err != nil {
			return nil, fmt.Errorf("list repositories of %q: %w", c.settings.Org, err)
		}
		var list []ingest.Record[Repository]
		if err := page.Decode(&list); err != nil {
			return nil, err
		}
		for _, r := range list {
			names = append(names, r.Value.FullName)
		}
		next = page.next
		if len(names) > maxRepos {
			return nil, framework.Permanent(fmt.Errorf("organization %q has more than %d repositories; name those you want in repos", c.settings.Org, maxRepos))
		}
	}
	for _, name := range c.settings.Repos {
		if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
			names = append(names, name)
		}
	}
	return names, nil
}

// orgURL lists the organization's repositories by their creation, so that new
// ones come last.
func (c *client) orgURL() string {
	return c.url("/orgs/"+url.PathEscape(c.settings.Org)+"/repos", url.Values{
		"per_page": {strconv.Itoa(perPage)}, "sort": {"created"}, "direction": {"asc"},
	})
}
