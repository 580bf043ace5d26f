/* Pretended V4L2 webcams, to be loaded by LD_PRELOAD: MJPG and YUYV over mmap, controls, and what goes wrong with them.
 *
 * FAKE_V4L2_DIR is the folder of one bench. A device is a placeholder file DIR/dev/videoN (links to it, as udev makes
 * them, are followed); where it is removed, the device is unplugged. DIR/videoN/ says what it is:
 *
 *   spec      lines `name TEXT`, `bus TEXT`, `format MJPG 640 480 30 15 ...` (the rates),
 *             `range YUYV 160 1280 16 120 720 8 30` (least, most and step of widths, then of heights), and
 *             `control ID TYPE MIN MAX STEP DEFAULT HOW NAME` (HOW: ok, refuse, round, forget as the stream begins)
 *   frames/   000.jpg, 001.jpg, ... shown in turn (.yuyv for YUYV)
 *   log       written: `SEQUENCE STAMP_NS BYTES FRAME` for each frame that was put into a buffer
 *   controls  written: `ID VALUE` for each control that was set
 *
 * and faults, each a file that is there or not; a number in it is its N:
 *   cut N, empty N, damaged N, skip N (every Nth frame)   size (all are 320x240)   slow N (N ms a frame instead)
 *   busy, no_room, hang (calls wait), silent (no frame)   realtime, unstamped (stamps of another clock, of none)
 *
 * A thread is the camera: it fills the buffers that are queued, and loses a frame where none is. An eventfd stands for
 * the device, so that poll and select work as they are.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/videodev2.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define DEVICES 8
#define BUFFERS 8
#define BUFFER_BYTES (1 << 20)
#define LISTED 24

struct offer { unsigned format, size[6], rates[8]; int any_size, rate_count; };
struct control { unsigned id, type; int min, max, step, def, value; char how[16], name[32]; };
struct filled { int buffer; unsigned sequence, flags; long size; struct timespec stamp; };
struct device {
  int fd, streaming, buffer_count, offer_count, control_count;
  int queue[64], head, tail;             /* buffers that wait to be filled */
  struct filled filled[64];
  int filled_head, filled_tail;
  unsigned sequence, shown, fps;
  pthread_t thread;
  void *buffer[BUFFERS];
  char folder[PATH_MAX], node[PATH_MAX], card[32], bus[32];
  struct offer offers[LISTED];
  struct control controls[LISTED];
  struct v4l2_format format;
};

static struct device devices[DEVICES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static int (*real_ioctl)(int, unsigned long, ...);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);
static int (*real_munmap)(void *, size_t);

__attribute__((constructor)) static void find_real(void) {
  real_open = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
  real_close = (int (*)(int))dlsym(RTLD_NEXT, "close");
  real_ioctl = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
  real_mmap = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap");
  real_munmap = (int (*)(void *, size_t))dlsym(RTLD_NEXT, "munmap");
  for (int i = 0; i < DEVICES; i++) devices[i].fd = -1;
}

static int fail(int number) { errno = number; return -1; }

/* The number in a fault's file (1 where it is empty), 0 where there is no such file. */
static long fault(struct device *d, const char *name) {
  char path[PATH_MAX + 32];
  snprintf(path, sizeof path, "%s/%s", d->folder, name);
  int fd = real_open(path, O_RDONLY);
  if (fd < 0) return 0;
  char text[32] = "";
  ssize_t n = read(fd, text, sizeof text - 1);
  real_close(fd);
  return n > 0 && atol(text) > 0 ? atol(text) : 1;
}

static int unplugged(struct device *d) { return access(d->node, F_OK) != 0; }

static void append(struct device *d, const char *file, const char *line) {
  char path[PATH_MAX + 32];
  snprintf(path, sizeof path, "%s/%s", d->folder, file);
  int fd = real_open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (fd < 0) return;
  if (write(fd, line, strlen(line)) < 0) perror("fake_v4l2");
  real_close(fd);
}

static unsigned letters(const char *t) { return v4l2_fourcc(t[0], t[1], t[2], t[3]); }

static void read_spec(struct device *d) {
  char path[PATH_MAX + 32], line[256];
  snprintf(path, sizeof path, "%s/spec", d->folder);
  FILE *file = fopen(path, "r");
  d->offer_count = d->control_count = 0;
  while (file && fgets(line, sizeof line, file)) {
    char word[16], kind[8];
    int used = 0, at;
    if (sscanf(line, "%15s %n", word, &used) != 1) continue;
    char *rest = line + used;
    rest[strcspn(rest, "\n")] = 0;
    if (!strcmp(word, "name")) snprintf(d->card, sizeof d->card, "%s", rest);
    if (!strcmp(word, "bus")) snprintf(d->bus, sizeof d->bus, "%s", rest);
    if ((!strcmp(word, "format") || !strcmp(word, "range")) && d->offer_count < LISTED) {
      struct offer *o = &d->offers[d->offer_count++];
      memset(o, 0, sizeof *o);
      o->any_size = !strcmp(word, "range");
      unsigned *s = o->size;
      if (o->any_size) sscanf(rest, "%7s %u %u %u %u %u %u %n", kind, s, s + 1, s + 2, s + 3, s + 4, s + 5, &used);
      else sscanf(rest, "%7s %u %u %n", kind, s, s + 1, &used);
      o->format = letters(kind);
      for (rest += used; o->rate_count < 8 && sscanf(rest, "%u %n", &o->rates[o->rate_count], &at) == 1; rest += at)
        o->rate_count++;
    }
    if (!strcmp(word, "control") && d->control_count < LISTED) {
      struct control *c = &d->controls[d->control_count++];
      sscanf(rest, "%x %u %d %d %d %d %15s %31[^\n]", &c->id, &c->type, &c->min, &c->max, &c->step, &c->def, c->how,
             c->name);
      c->value = c->def;
    }
  }
  if (file) fclose(file);
}

static struct device *device_of(int fd) {
  for (int i = 0; fd >= 0 && i < DEVICES; i++)
    if (devices[i].fd == fd) return &devices[i];
  return NULL;
}

static void stop_camera(struct device *d);

/* Opens a pretended device; -2 where the path is none. */
static int open_device(const char *path) {
  const char *base = getenv("FAKE_V4L2_DIR");
  char whole[PATH_MAX], start[PATH_MAX];
  if (!base || !path || !strstr(path, "dev/") || !realpath(path, whole)) return -2;
  if (!realpath(base, start)) return -2;
  strncat(start, "/dev/video", sizeof start - strlen(start) - 1);
  if (strncmp(whole, start, strlen(start))) return -2;
  pthread_mutex_lock(&lock);
  struct device *d = NULL;
  for (int i = 0; !d && i < DEVICES; i++)
    if (devices[i].fd < 0) d = &devices[i];
  if (!d) { pthread_mutex_unlock(&lock); return fail(EMFILE); }
  memset(d, 0, sizeof *d);
  snprintf(d->node, sizeof d->node, "%s", whole);
  snprintf(d->folder, sizeof d->folder, "%s/%s", base, strrchr(whole, '/') + 1);
  read_spec(d);
  d->fd = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
  d->fps = 30;
  d->format.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  struct v4l2_pix_format *p = &d->format.fmt.pix;
  p->width = d->offers[0].size[0];
  p->height = d->offers[0].any_size ? d->offers[0].size[3] : d->offers[0].size[1];
  p->pixelformat = d->offers[0].format;
  p->field = V4L2_FIELD_NONE;
  p->sizeimage = BUFFER_BYTES;
  pthread_mutex_unlock(&lock);
  return d->fd;
}

#define OPEN(NAME)                                    \
  int NAME(const char *path, int flags, ...) {        \
    int mode = 0;                                     \
    if (flags & (O_CREAT | O_TMPFILE)) {              \
      va_list more;                                   \
      va_start(more, flags);                          \
      mode = va_arg(more, int);                       \
      va_end(more);                                   \
    }                                                 \
    int fd = open_device(path);                       \
    return fd == -2 ? real_open(path, flags, mode) : fd; \
  }
OPEN(open)
OPEN(open64)

int close(int fd) {
  struct device *d = device_of(fd);
  if (d) {
    stop_camera(d);
    for (int i = 0; i < BUFFERS; i++)
      if (d->buffer[i]) real_munmap(d->buffer[i], BUFFER_BYTES);
    d->fd = -1;
  }
  return real_close(fd);
}

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
  struct device *d = device_of(fd);
  return d ? d->buffer[offset / BUFFER_BYTES] : real_mmap(at, length, protection, flags, fd, offset);
}
void *mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
  return mmap(at, length, protection, flags, fd, offset);
}
int munmap(void *at, size_t length) {
  for (int i = 0; i < DEVICES; i++)
    for (int k = 0; devices[i].fd >= 0 && k < BUFFERS; k++)
      if (at && devices[i].buffer[k] == at) return 0;
  return real_munmap(at, length);
}

static int every(struct device *d, const char *name) {
  long n = fault(d, name);
  return n && d->sequence % n == 0;
}

/* Puts the next picture of the film into a buffer. */
static void fill(struct device *d, struct filled *f) {
  char path[PATH_MAX + 64], line[128];
  int number = d->shown++ % 30;
  int raw = d->format.fmt.pix.pixelformat == V4L2_PIX_FMT_YUYV;
  snprintf(path, sizeof path, "%s/frames/%s%03d.%s", d->folder, fault(d, "size") ? "small_" : "", number,
           raw ? "yuyv" : "jpg");
  int file = real_open(path, O_RDONLY);
  f->size = file < 0 ? 0 : read(file, d->buffer[f->buffer], BUFFER_BYTES);
  if (file >= 0) real_close(file);
  if (every(d, "cut")) f->size /= 2;
  if (every(d, "empty") || f->size < 0) f->size = 0;
  f->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC | V4L2_BUF_FLAG_TSTAMP_SRC_SOE;
  if (every(d, "damaged")) f->flags |= V4L2_BUF_FLAG_ERROR;
  f->sequence = d->sequence;
  clock_gettime(fault(d, "realtime") ? CLOCK_REALTIME : CLOCK_MONOTONIC, &f->stamp);
  if (fault(d, "unstamped")) f->stamp.tv_sec = f->stamp.tv_nsec = 0;
  snprintf(line, sizeof line, "%u %lld %ld %d\n", f->sequence,
           (long long)f->stamp.tv_sec * 1000000000 + f->stamp.tv_nsec / 1000 * 1000, f->size, number);
  append(d, "log", line);
}

static void *run_camera(void *given) {
  struct device *d = given;
  struct timespec due;
  unsigned long long one = 1;
  pthread_setname_np(pthread_self(), "fake camera"); /* its time is not the node's */
  clock_gettime(CLOCK_MONOTONIC, &due);
  while (d->streaming) {
    long slow = fault(d, "slow");
    due.tv_nsec += slow ? slow * 1000000 : 1000000000 / d->fps;
    for (; due.tv_nsec >= 1000000000; due.tv_nsec -= 1000000000) due.tv_sec++;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    pthread_mutex_lock(&lock);
    int gone = unplugged(d), shown = 0;
    if (d->streaming && !gone && !fault(d, "silent")) {
      d->sequence++;
      if (d->head != d->tail && !every(d, "skip")) {
        struct filled *f = &d->filled[d->filled_tail % 64];
        f->buffer = d->queue[d->head++ % 64];
        fill(d, f);
        d->filled_tail++;
        shown = 1;
      }
    }
    if ((gone || shown) && write(d->fd, &one, 8) < 0) perror("fake_v4l2");
    pthread_mutex_unlock(&lock);
    if (gone) break;
  }
  return NULL;
}

static void stop_camera(struct device *d) {
  if (!d->streaming) return;
  d->streaming = 0;
  pthread_join(d->thread, NULL);
}

static int nearest_rate(struct device *d, unsigned wanted) {
  struct v4l2_pix_format *p = &d->format.fmt.pix;
  int best = 0;
  for (int i = 0; i < d->offer_count; i++) {
    struct offer *o = &d->offers[i];
    if (o->format != p->pixelformat || (!o->any_size && (o->size[0] != p->width || o->size[1] != p->height))) continue;
    for (int k = 0; k < o->rate_count; k++)
      if (!best || abs((int)o->rates[k] - (int)wanted) < abs(best - (int)wanted)) best = o->rates[k];
  }
  return best ? best : 30;
}

/* As a driver does: what it does not have becomes what it has. */
static void settle_format(struct device *d, struct v4l2_pix_format *wanted) {
  struct offer *found = NULL;
  for (int i = 0; i < d->offer_count; i++) {
    struct offer *o = &d->offers[i];
    if (o->format != wanted->pixelformat) continue;
    if (!found) found = o;
    if (!o->any_size && o->size[0] == wanted->width && o->size[1] == wanted->height) found = o;
  }
  if (!found) found = &d->offers[0];
  if (!found->any_size) { wanted->width = found->size[0]; wanted->height = found->size[1]; }
  wanted->pixelformat = found->format;
  wanted->field = V4L2_FIELD_NONE;
  wanted->bytesperline = found->format == V4L2_PIX_FMT_YUYV ? wanted->width * 2 : 0;
  wanted->sizeimage = BUFFER_BYTES;
}

static int hand_over(struct device *d, struct v4l2_buffer *b) {
  unsigned long long one;
  if (!d->streaming) return fail(EINVAL);
  if (read(d->fd, &one, 8) != 8 || d->filled_head == d->filled_tail) return fail(EAGAIN);
  struct filled *f = &d->filled[d->filled_head++ % 64];
  b->index = f->buffer;
  b->bytesused = f->size;
  b->length = BUFFER_BYTES;
  b->m.offset = f->buffer * BUFFER_BYTES;
  b->memory = V4L2_MEMORY_MMAP;
  b->flags = f->flags;
  b->field = V4L2_FIELD_NONE;
  b->sequence = f->sequence;
  b->timestamp.tv_sec = f->stamp.tv_sec;
  b->timestamp.tv_usec = f->stamp.tv_nsec / 1000;
  return 0;
}

static struct control *control_of(struct device *d, unsigned id) {
  if (id & V4L2_CTRL_FLAG_NEXT_CTRL) {
    struct control *best = NULL;
    id &= 0x0fffffff;
    for (int i = 0; i < d->control_count; i++)
      if (d->controls[i].id > id && (!best || d->controls[i].id < best->id)) best = &d->controls[i];
    return best;
  }
  for (int i = 0; i < d->control_count; i++)
    if (d->controls[i].id == id) return &d->controls[i];
  return NULL;
}

static int set_control(struct device *d, struct v4l2_control *wanted) {
  struct control *c = control_of(d, wanted->id);
  char line[64];
  if (!c) return fail(EINVAL);
  snprintf(line, sizeof line, "%x %d\n", wanted->id, wanted->value);
  append(d, "controls", line);
  if (!strcmp(c->how, "refuse")) return fail(EIO);
  int value = wanted->value < c->min ? c->min : wanted->value > c->max ? c->max : wanted->value;
  if (!strcmp(c->how, "round")) value -= (value - c->min) % c->step;
  c->value = wanted->value = value;
  return 0;
}

static int answer(struct device *d, unsigned long request, void *p) {
  switch (request) {
  case VIDIOC_QUERYCAP: {
    struct v4l2_capability *c = p;
    memset(c, 0, sizeof *c);
    strcpy((char *)c->driver, "uvcvideo");
    strcpy((char *)c->card, d->card);
    strcpy((char *)c->bus_info, d->bus);
    c->version = 0x060000;
    c->device_caps = V4L2_CAP_STREAMING | (d->offer_count ? V4L2_CAP_VIDEO_CAPTURE : V4L2_CAP_META_CAPTURE);
    c->capabilities = V4L2_CAP_STREAMING | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_META_CAPTURE | V4L2_CAP_DEVICE_CAPS;
    return 0;
  }
  case VIDIOC_ENUM_FMT: {
    struct v4l2_fmtdesc *f = p;
    unsigned known[LISTED], count = 0;
    for (int i = 0; i < d->offer_count; i++) {
      unsigned k = 0;
      while (k < count && known[k] != d->offers[i].format) k++;
      if (k == count) known[count++] = d->offers[i].format;
    }
    if (f->type != 1 || f->index >= count) return fail(EINVAL);
    f->pixelformat = known[f->index];
    f->flags = f->pixelformat == V4L2_PIX_FMT_MJPEG ? V4L2_FMT_FLAG_COMPRESSED : 0;
    strcpy((char *)f->description, "pretended");
    return 0;
  }
  case VIDIOC_ENUM_FRAMESIZES: {
    struct v4l2_frmsizeenum *s = p;
    unsigned index = 0;
    for (int i = 0; i < d->offer_count; i++) {
      struct offer *o = &d->offers[i];
      if (o->format != s->pixel_format || index++ != s->index) continue;
      s->type = o->any_size ? V4L2_FRMSIZE_TYPE_STEPWISE : V4L2_FRMSIZE_TYPE_DISCRETE;
      memcpy(&s->stepwise, o->size, sizeof o->size);
      return 0;
    }
    return fail(EINVAL);
  }
  case VIDIOC_ENUM_FRAMEINTERVALS: {
    struct v4l2_frmivalenum *v = p;
    for (int i = 0; i < d->offer_count; i++) {
      struct offer *o = &d->offers[i];
      if (o->format != v->pixel_format) continue;
      if (!o->any_size && (o->size[0] != v->width || o->size[1] != v->height)) continue;
      if ((int)v->index >= o->rate_count) return fail(EINVAL);
      v->type = V4L2_FRMIVAL_TYPE_DISCRETE;
      v->discrete.numerator = 1;
      v->discrete.denominator = o->rates[v->index];
      return 0;
    }
    return fail(EINVAL);
  }
  case VIDIOC_S_FMT:
    if (fault(d, "busy")) return fail(EBUSY);
    settle_format(d, &((struct v4l2_format *)p)->fmt.pix);
    d->format = *(struct v4l2_format *)p;
    return 0;
  case VIDIOC_G_FMT:
    *(struct v4l2_format *)p = d->format;
    return 0;
  case VIDIOC_S_PARM: {
    struct v4l2_fract *f = &((struct v4l2_streamparm *)p)->parm.capture.timeperframe;
    if (f->numerator) d->fps = nearest_rate(d, (f->denominator + f->numerator / 2) / f->numerator);
  } /* fall through */
  case VIDIOC_G_PARM: {
    struct v4l2_streamparm *s = p;
    s->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
    s->parm.capture.timeperframe.numerator = 1;
    s->parm.capture.timeperframe.denominator = d->fps;
    return 0;
  }
  case VIDIOC_REQBUFS: {
    struct v4l2_requestbuffers *b = p;
    if (fault(d, "busy")) return fail(EBUSY);
    if (b->memory != V4L2_MEMORY_MMAP) return fail(EINVAL);
    if (b->count > BUFFERS) b->count = BUFFERS;
    for (unsigned i = 0; i < b->count; i++)
      if (!d->buffer[i])
        d->buffer[i] = real_mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    d->buffer_count = b->count;
    d->head = d->tail = 0;
    return 0;
  }
  case VIDIOC_QUERYBUF: {
    struct v4l2_buffer *b = p;
    if ((int)b->index >= d->buffer_count) return fail(EINVAL);
    b->length = BUFFER_BYTES;
    b->m.offset = b->index * BUFFER_BYTES;
    return 0;
  }
  case VIDIOC_QBUF:
    d->queue[d->tail++ % 64] = ((struct v4l2_buffer *)p)->index;
    return 0;
  case VIDIOC_STREAMON:
    if (fault(d, "no_room")) return fail(ENOSPC);
    for (int i = 0; i < d->control_count; i++)
      if (!strcmp(d->controls[i].how, "forget")) d->controls[i].value = d->controls[i].def;
    d->streaming = 1;
    return pthread_create(&d->thread, NULL, run_camera, d) ? fail(EAGAIN) : 0;
  case VIDIOC_STREAMOFF:
    stop_camera(d);
    return 0;
  case VIDIOC_DQBUF:
    return hand_over(d, p);
  case VIDIOC_QUERYCTRL: {
    struct v4l2_queryctrl *q = p;
    struct control *c = control_of(d, q->id);
    if (!c) return fail(EINVAL);
    memset(q, 0, sizeof *q);
    q->id = c->id;
    q->type = c->type;
    strcpy((char *)q->name, c->name);
    q->minimum = c->min;
    q->maximum = c->max;
    q->step = c->step;
    q->default_value = c->def;
    return 0;
  }
  case VIDIOC_QUERYMENU: {
    struct v4l2_querymenu *m = p;
    if (m->id == V4L2_CID_EXPOSURE_AUTO && m->index != 1 && m->index != 3) return fail(EINVAL);
    return 0;
  }
  case VIDIOC_G_CTRL: {
    struct v4l2_control *v = p;
    struct control *c = control_of(d, v->id);
    if (!c) return fail(EINVAL);
    v->value = c->value;
    return 0;
  }
  case VIDIOC_S_CTRL:
    return set_control(d, p);
  }
  return fail(ENOTTY);
}

int ioctl(int fd, unsigned long request, ...) {
  va_list more;
  va_start(more, request);
  void *argument = va_arg(more, void *);
  va_end(more);
  struct device *d = device_of(fd);
  if (!d) return real_ioctl(fd, request, argument);
  while (fault(d, "hang")) usleep(20000);
  if (unplugged(d)) return fail(ENODEV);
  request &= 0xffffffff;
  if (request == VIDIOC_STREAMOFF) return answer(d, request, argument);
  pthread_mutex_lock(&lock);
  int result = answer(d, request, argument), number = errno;
  pthread_mutex_unlock(&lock);
  errno = number;
  return result;
}
