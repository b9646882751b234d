/* fuzz.h - fuzz targets: any bytes in, and what must hold whatever they are.
 *
 *   make fuzz SECONDS=20 TARGET=wire    libFuzzer looks for bytes that break it
 *   build/unit/fuzz_replay              every kept input once, under gcc
 *
 * A target does more than not to crash: what decodes encodes to the same bytes,
 * what is refused has changed nothing, nothing is said of bytes that are not
 * there. Checksums would keep a fuzzer outside for ever, so targets look at the
 * bytes as they came, and again with the checksums put right.
 */
#ifndef RAFT_FUZZ_H
#define RAFT_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FUZZ_TARGETS(X)                                                        \
  X(wire)                                                                      \
  X(hello)                                                                     \
  X(ship)                                                                      \
  X(snapfile)                                                                  \
  X(entry)                                                                     \
  X(config)                                                                    \
  X(identity)                                                                  \
  X(wal)                                                                       \
  X(codec)                                                                     \
  X(binding)                                                                   \
  X(replica)                                                                   \
  X(cluster)

#define FUZZ_INPUT_MAX 1024 /* bytes of one input */

typedef void (*fuzz_target)(const uint8_t *data, size_t size);

#define X(name) void fuzz_##name(const uint8_t *data, size_t size);
FUZZ_TARGETS(X)
#undef X

/* The target of that name, or NULL. */
fuzz_target fuzz_find(const char *name);

/* Ends the program, and says what does not hold. */
#define DEMAND(cond) ((cond) ? (void)0 : fuzz_broken(#cond, __FILE__, __LINE__))
_Noreturn void fuzz_broken(const char *what, const char *file, int line);

/* Nothing that the test support checks has failed. */
void fuzz_demand_support(void);

/* A copy of its own, so that no byte beyond it is read unseen. Never NULL. */
uint8_t *fuzz_copy(const uint8_t *data, size_t size);

/* ---- drawing from the input: zeros when it has ended --------------------- */

struct raft_in;
uint32_t fuzz_below(struct raft_in *in, uint32_t end); /* [0, end), 2 bytes */

/* A number: mostly small, else at one of the edges where sums wrap. */
uint64_t fuzz_number(struct raft_in *in);

#endif
