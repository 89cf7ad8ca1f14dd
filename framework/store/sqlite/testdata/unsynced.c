// A shim for LD_PRELOAD that writes down what a process writes below a folder,
// and when it asks for it to be on disk. A test rebuilds from that what a
// machine would find after losing its power.
//
// UNSYNCED_DIR is the folder, UNSYNCED_LOG the file that takes the records:
//   kind (1 byte) offset (8) length (8) length of path (8) path data
// Kinds: W write, T truncate (to offset), S sync, U unlink. Numbers are in the
// byte order of the machine.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;

static void put(const void *p, size_t n) {
	while (n > 0) {
		ssize_t m = syscall(SYS_write, log_fd, p, n);
		if (m <= 0) abort();
		p = (const char *)p + m;
		n -= (size_t)m;
	}
}

static void note_path(char kind, const char *path, int64_t offset, const void *data, int64_t length) {
	const char *dir = getenv("UNSYNCED_DIR"), *log = getenv("UNSYNCED_LOG");
	if (!dir || !log || strncmp(path, dir, strlen(dir)) != 0) return;
	int64_t path_length = (int64_t)strlen(path);
	if (log_fd < 0) log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log_fd < 0) abort();
	put(&kind, 1);
	put(&offset, 8);
	put(&length, 8);
	put(&path_length, 8);
	put(path, (size_t)path_length);
	if (length > 0) put(data, (size_t)length);
}

static void note(char kind, int fd, int64_t offset, const void *data, int64_t length) {
	char link[64], path[PATH_MAX];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof path - 1);
	if (n <= 0) return;
	path[n] = 0;
	note_path(kind, path, offset, data, length);
}

// The lock is held over the call too, so that the log has the order of the calls.
#define LOCKED(result, call, record) \
	pthread_mutex_lock(&mutex);        \
	result = call;                     \
	record;                            \
	pthread_mutex_unlock(&mutex);      \
	return result

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
	ssize_t n;
	LOCKED(n, (ssize_t)syscall(SYS_pwrite64, fd, data, length, offset), if (n > 0) note('W', fd, offset, data, n));
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

ssize_t write(int fd, const void *data, size_t length) {
	ssize_t n;
	LOCKED(n, (ssize_t)syscall(SYS_write, fd, data, length),
		if (n > 0) note('W', fd, lseek(fd, 0, SEEK_CUR) - n, data, n));
}

int ftruncate64(int fd, off64_t length) {
	int r;
	LOCKED(r, (int)syscall(SYS_ftruncate, fd, length), if (r == 0) note('T', fd, length, 0, 0));
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fsync(int fd) {
	int r;
	LOCKED(r, (int)syscall(SYS_fsync, fd), if (r == 0) note('S', fd, 0, 0, 0));
}

int fdatasync(int fd) {
	int r;
	LOCKED(r, (int)syscall(SYS_fdatasync, fd), if (r == 0) note('S', fd, 0, 0, 0));
}

int unlink(const char *path) {
	int r;
	LOCKED(r, (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0), if (r == 0) note_path('U', path, 0, 0, 0));
}
