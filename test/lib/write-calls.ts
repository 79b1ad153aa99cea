/**
 * Source of a library for LD_PRELOAD (preloaded.ts) that ends a program of root's before its call number KILL_AT that
 * changes a file system, or once the record state.json holds KILL_TEXT. KILL_COUNT: file for the number of such calls,
 * written at the end.
 *
 * CUT_DISK: first cuts the power of that disk, CUT_LINGER_MS after the call was reached. Unflushed writes are lost
 * (FS_IOC_SHUTDOWN without a flush of the log).
 */
export const WRITE_CALLS = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
static long at = -1, count;
static char *file, *disk, *record_text;
static long linger;
static int is_node;
__attribute__((constructor)) static void begin(void) {
  is_node = strcmp(program_invocation_short_name, "node") == 0;
  if (!is_node) return;
  const char *at_text = getenv("KILL_AT"), *linger_text = getenv("CUT_LINGER_MS");
  if (at_text) at = atol(at_text);
  if (linger_text) linger = atol(linger_text);
  if (getenv("KILL_COUNT")) file = strdup(getenv("KILL_COUNT"));
  if (getenv("KILL_TEXT")) record_text = strdup(getenv("KILL_TEXT"));
  if (getenv("CUT_DISK")) disk = strdup(getenv("CUT_DISK"));
  // What it starts itself is not counted, and goes on.
  unsetenv("KILL_AT");
  unsetenv("KILL_TEXT");
  unsetenv("KILL_COUNT");
}
__attribute__((destructor)) static void end(void) {
  FILE *out = file ? fopen(file, "w") : NULL;
  if (out) { fprintf(out, "%ld", count); fclose(out); }
}
#define REAL(name) ({ static typeof(&name) real; if (!real) real = dlsym(RTLD_NEXT, #name); real; })
static void cut(void) {
  if (disk) {
    unsigned without_log = 2;
    usleep(linger * 1000);
    ioctl(REAL(open64)(disk, O_RDONLY), 0x8004587d, &without_log);
  }
  kill(getpid(), SIGKILL);
}
static void writes(void) {
  if (is_node && __sync_fetch_and_add(&count, 1) == at) cut();
}
static int is_file(int fd) { struct stat s; return fstat(fd, &s) == 0 && S_ISREG(s.st_mode); }
ssize_t write(int fd, const void *b, size_t n) { if (is_file(fd)) writes(); return REAL(write)(fd, b, n); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) { if (is_file(fd)) writes(); return REAL(pwrite64)(fd, b, n, o); }
int rename(const char *a, const char *b) {
  writes();
  int result = REAL(rename)(a, b);
  static char text[1 << 16];
  FILE *in = is_node && record_text && result == 0 && strstr(b, "/state.json") ? fopen(b, "r") : NULL;
  if (in) {
    text[fread(text, 1, sizeof text - 1, in)] = 0;
    fclose(in);
    if (strstr(text, record_text)) cut();
  }
  return result;
}
int unlink(const char *a) { writes(); return REAL(unlink)(a); }
int rmdir(const char *a) { writes(); return REAL(rmdir)(a); }
int mkdir(const char *a, mode_t m) { writes(); return REAL(mkdir)(a, m); }
int symlink(const char *a, const char *b) { writes(); return REAL(symlink)(a, b); }
int link(const char *a, const char *b) { writes(); return REAL(link)(a, b); }
int ftruncate64(int fd, off64_t n) { writes(); return REAL(ftruncate64)(fd, n); }
int fsync(int fd) { writes(); return REAL(fsync)(fd); }
int fdatasync(int fd) { writes(); return REAL(fdatasync)(fd); }
int fchmod(int fd, mode_t m) { writes(); return REAL(fchmod)(fd, m); }
int fchown(int fd, uid_t u, gid_t g) { writes(); return REAL(fchown)(fd, u, g); }
int open64(const char *p, int flags, ...) {
  va_list l; va_start(l, flags); mode_t m = va_arg(l, mode_t); va_end(l);
  if (flags & O_CREAT) writes();
  return REAL(open64)(p, flags, m);
}
`;
