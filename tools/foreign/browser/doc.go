// Package browser looks at the dashboard in a real headless Chromium: what its
// pages show, that they can be used by keyboard and without JavaScript, that they
// follow changes by themselves, and that nothing stored in them comes alive. It
// holds tests only.
package browser
