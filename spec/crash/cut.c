/* cut.c - ends a mounted file system as a loss of power does.
 *
 *   cut <directory>
 *
 * From then on nothing reaches the disk any more, not even the journal's own
 * buffers; every write fails. ext4 and xfs know the same call, which has no
 * name in the headers of the C library.
 */
#define _DEFAULT_SOURCE 1 /* ioctl */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>

enum { NO_LOG_FLUSH = 2 };

#define GOING_DOWN _IOR('X', 125, uint32_t)

int main(int count, char **words) {
  if (count != 2) return 2;
  uint32_t how = NO_LOG_FLUSH;
  int fd = open(words[1], O_RDONLY);
  if (fd < 0 || ioctl(fd, GOING_DOWN, &how) != 0) {
    perror(words[1]);
    return 1;
  }
  return 0; /* the system closes it; there is nothing left to lose */
}
