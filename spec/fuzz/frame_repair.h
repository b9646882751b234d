/* frame_repair.h - damage that has the right checksums all the same. */
#ifndef RAFT_FRAME_REPAIR_H
#define RAFT_FRAME_REPAIR_H

#include <stddef.h>
#include <stdint.h>

/* Puts size, head, version and checksums of a frame right, whatever its fields
 * and its tail say. What is shorter than a header stays as it is. */
void frame_repair(uint8_t *frame, size_t size);

/* The same for the checksums of all entries in a row that are whole; the bytes
 * that they take. */
size_t entries_repair(uint8_t *data, size_t size);

#endif
