/* crc32c.h - the Castagnoli checksum (RFC 3720), the only one in this house.
 * Hardware instructions where the machine has them, tables elsewhere. */
#ifndef RAFT_CRC32C_H
#define RAFT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* The checksum of `crc`'s bytes followed by these; start with 0. */
uint32_t raft_crc32c(uint32_t crc, const void *data, size_t size);

/* Of 36 bytes, from 0: what the header of an entry has. There are many of them,
 * and a size that is known needs no questions. They are read as they were
 * written, four and then eight at a time: else the processor would wait until
 * what was just written has left for the cache. */
#define RAFT_CRC32C_FEW 36
uint32_t raft_crc32c_few(const uint8_t *data);

/* Of the bytes [0, 4) and [8, size), from 0: of the head of a frame, which has
 * it between the two. size >= 8. */
uint32_t raft_crc32c_head(const uint8_t *data, size_t size);

/* The same in portable C, for machines without the instruction and tests. */
uint32_t raft_crc32c_portable(uint32_t crc, const void *data, size_t size);

#pragma GCC visibility pop
#endif
