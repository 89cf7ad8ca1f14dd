// Package dashboard serves the pages for people: every stream of every
// connection on one page, and a page for each stream.
//
// Pages are whole on the server: they can be read, and everything on them can be
// done, without JavaScript. One small script listens to the feed of changes,
// reads the page again and puts the differences in, so that focus, scroll
// position and unfolded parts stay. Styles, script and icon are embedded; a page
// loads nothing from elsewhere and holds nothing inline, as the content security
// policy of package api demands.
//
// What comes from outside (payloads, subjects, error texts) is escaped by
// html/template; control characters that turn text around or hide it are shown
// as escapes.
package dashboard
