/* golden.h - bytes that must never change, kept as spec/golden/NAME.hex.
 *
 * A line that starts with # is a comment, the rest is hex with blanks as one
 * likes. Tests run at the root of the tree. A mismatch prints the bytes it got.
 */
#ifndef RAFT_GOLDEN_H
#define RAFT_GOLDEN_H

#include <stddef.h>
#include <stdint.h>

/* Reads the bytes of NAME; fails the case and returns 0 when it cannot. */
size_t golden_read(const char *name, uint8_t *out, size_t room);

/* The same of any file of that form. */
size_t golden_read_file(const char *path, uint8_t *out, size_t room);

/* Are these the bytes of NAME? */
#define GOLDEN(name, data, size)                                               \
  golden_check((name), (data), (size), __FILE__, __LINE__)
void golden_check(const char *name, const uint8_t *data, size_t size,
                  const char *file, int line);

#endif
