// Changing files that the policy keeps. `file` belongs to this uid, so that only the policy can refuse.
#include "attacks.h"
#include <linux/fs.h>
#include <linux/openat2.h>
#include <linux/random.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <utime.h>

static const char *in(const char *dir, const char *name) {
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, 512, "%s/%s", dir, name);
    return path;
}

#define FILES(function, expression, undo)            \
    static void function(const struct world *w) {    \
        must(expression);                            \
        undo;                                        \
        succeeded("done");                           \
    }
FILES(create, open(in(w->dir, "new"), O_CREAT | O_EXCL | O_WRONLY, 0600), unlink(in(w->dir, "new")))
FILES(create_creat, creat(in(w->dir, "new2"), 0600), unlink(in(w->dir, "new2")))
FILES(create_temporary, open(w->dir, O_TMPFILE | O_RDWR, 0600), )
FILES(create_openat2, syscall(SYS_openat2, AT_FDCWD, in(w->dir, "new3"), &(struct open_how){.flags = O_CREAT | O_WRONLY, .mode = 0600}, sizeof(struct open_how)), unlink(in(w->dir, "new3")))
FILES(write_open, open(w->file, O_WRONLY), )
FILES(write_append, open(w->file, O_WRONLY | O_APPEND), )
FILES(write_read_write, open(w->file, O_RDWR), )
FILES(write_openat2, syscall(SYS_openat2, AT_FDCWD, w->file, &(struct open_how){.flags = O_WRONLY, .resolve = RESOLVE_NO_XDEV}, sizeof(struct open_how)), )
FILES(truncate_path, truncate(w->file, 5), )
FILES(truncate_open, open(w->file, O_RDONLY | O_TRUNC), )
FILES(make_folder, mkdir(in(w->dir, "sub"), 0700), rmdir(in(w->dir, "sub")))
FILES(make_fifo, mkfifo(in(w->dir, "fifo"), 0600), unlink(in(w->dir, "fifo")))
FILES(make_symlink, symlink("/etc", in(w->dir, "link")), unlink(in(w->dir, "link")))
FILES(make_hard_link, link(w->file, in(w->dir, "hard")), unlink(in(w->dir, "hard")))
FILES(rename_file, rename(w->file, in(w->dir, "renamed")), rename(in(w->dir, "renamed"), w->file))
FILES(rename_across, rename(w->file, in(w->other, "renamed")), rename(in(w->other, "renamed"), w->file))
FILES(link_across, link(w->file, in(w->other, "hard")), unlink(in(w->other, "hard")))
FILES(exchange, syscall(SYS_renameat2, AT_FDCWD, w->file, AT_FDCWD, in(w->dir, "second"), RENAME_EXCHANGE), syscall(SYS_renameat2, AT_FDCWD, w->file, AT_FDCWD, in(w->dir, "second"), RENAME_EXCHANGE))
FILES(remove_file, unlink(in(w->dir, "spare")), )
FILES(remove_folder, rmdir(in(w->dir, "spare-folder")), )
FILES(through_self_root, open(in("/proc/self/root", w->file), O_WRONLY), )
FILES(through_thread_root, open(in("/proc/thread-self/root", w->file), O_WRONLY), )

// A descriptor opened for reading, opened again for writing.
static void through_descriptor(const struct world *w) {
    int fd = prepare(open(w->file, O_RDONLY));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    must(open(path, O_WRONLY));
    succeeded("opened again");
}

static void through_path_descriptor(const struct world *w) {
    int fd = prepare(open(w->file, O_PATH));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    must(open(path, O_RDWR));
    succeeded("opened again");
}

static void through_folder(const struct world *w) {
    int dir = prepare(open(w->dir, O_RDONLY | O_DIRECTORY));
    must(openat(dir, "new4", O_CREAT | O_WRONLY, 0600));
    unlinkat(dir, "new4", 0);
    succeeded("created");
}

static void through_working_directory(const struct world *w) {
    prepare(chdir(w->dir));
    must(open("new5", O_CREAT | O_WRONLY, 0600));
    unlink("new5");
    succeeded("created");
}

static void through_link(const struct world *w) {
    const char *link = in("/data", "to-file");
    unlink(link);
    prepare(symlink(w->file, link));
    int fd = open(link, O_WRONLY);
    int error = errno;
    unlink(link);
    errno = error;
    must(fd);
    succeeded("written through a link in a writable place");
}

static void map_shared(const struct world *w) {
    int fd = must(open(w->file, O_RDWR));
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED) refused("mmap");
    succeeded("mapped");
}

static void bind_socket(const struct world *w) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s/sock", w->dir);
    int fd = must(socket(AF_UNIX, SOCK_STREAM, 0));
    must(bind(fd, (void *)&a, sizeof a));
    unlink(a.sun_path);
    succeeded("bound");
}

// Landlock's device right is checked at ioctl, by what the descriptor was allowed when it was opened.
static void device_ioctl(const struct world *w) {
    (void)w;
    int fd = prepare(open("/dev/urandom", O_RDONLY)), bits;
    must(ioctl(fd, RNDGETENTCNT, &bits));
    succeeded("%d bits", bits);
}

// --- execution and reading, for path lists
static void run(const char *path) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        execl(path, "busybox", "true", NULL);
        _exit(errno);
    }
    waitpid(child, &status, 0);
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
    if (errno) refused("execve");
    succeeded("ran");
}
static void execute_file(const struct world *w) { run(in(w->other, "program")); }
static void read_file(const struct world *w) {
    char byte;
    must(read(must(open(in(w->other, "secret"), O_RDONLY)), &byte, 1));
    succeeded("read");
}
FILES(list_folder, open(w->other, O_RDONLY | O_DIRECTORY), )

// --- what Landlock does not cover: owners may change a file's metadata wherever the mount is writable
FILES(metadata_mode, chmod(w->file, 0644), )
FILES(metadata_owner, chown(w->file, -1, getgid()), )
FILES(metadata_times, utime(w->file, NULL), )
FILES(metadata_attribute, setxattr(w->file, "user.attack", "x", 1, 0), )
FILES(metadata_flags, ({ int fd = prepare(open(w->file, O_RDONLY)), f = 0; ioctl(fd, FS_IOC_GETFLAGS, &f) ?: ioctl(fd, FS_IOC_SETFLAGS, &f); }), )

#define NAMED(x) {#x, x}
const struct attack file_attacks[] = {
    NAMED(create), NAMED(create_creat), NAMED(create_temporary), NAMED(create_openat2), NAMED(write_open), NAMED(write_append),
    NAMED(write_read_write), NAMED(write_openat2), NAMED(truncate_path), NAMED(truncate_open), NAMED(make_folder), NAMED(make_fifo),
    NAMED(make_symlink), NAMED(make_hard_link), NAMED(rename_file), NAMED(rename_across), NAMED(link_across), NAMED(exchange),
    NAMED(remove_file), NAMED(remove_folder), NAMED(through_self_root), NAMED(through_thread_root), NAMED(through_descriptor),
    NAMED(through_path_descriptor), NAMED(through_folder), NAMED(through_working_directory), NAMED(through_link), NAMED(map_shared),
    NAMED(bind_socket), NAMED(device_ioctl), NAMED(execute_file), NAMED(read_file), NAMED(list_folder), NAMED(metadata_mode),
    NAMED(metadata_owner), NAMED(metadata_times), NAMED(metadata_attribute), NAMED(metadata_flags), {0}};
