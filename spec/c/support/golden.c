#include "golden.h"

#include "test.h"

#include <stdio.h>
#include <string.h>

#define GOLDEN_BYTES_MAX 4096

static int digit(int c) {
  static const char digits[] = "0123456789abcdef";
  const char *at = c > 0 ? strchr(digits, c) : NULL;
  return at != NULL ? (int)(at - digits) : -1;
}

static void skip_line(FILE *file) {
  int c = fgetc(file);
  while (c != '\n' && c != EOF)
    c = fgetc(file);
}

static size_t read_hex(FILE *file, uint8_t *out, size_t room) {
  size_t count = 0; /* of half bytes */
  for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
    if (c == '#') skip_line(file);
    int half = digit(c);
    if (half < 0 || count / 2 >= room) continue;
    if (count % 2 == 0)
      out[count / 2] = (uint8_t)(half << 4);
    else
      out[count / 2] |= (uint8_t)half;
    count++;
  }
  return count / 2;
}

size_t golden_read_file(const char *path, uint8_t *out, size_t room) {
  FILE *file = fopen(path, "r");
  test_check(file != NULL, path, __FILE__, __LINE__);
  if (file == NULL) return 0;
  size_t size = read_hex(file, out, room);
  fclose(file);
  return size;
}

size_t golden_read(const char *name, uint8_t *out, size_t room) {
  char path[256];
  snprintf(path, sizeof path, "spec/golden/%s.hex", name);
  return golden_read_file(path, out, room);
}

static void print_hex(const char *name, const uint8_t *data, size_t size) {
  printf("bytes of %s:", name);
  for (size_t i = 0; i < size; i++)
    printf("%s%02x", i % 32 == 0 ? "\n" : i % 8 == 0 ? " " : "", data[i]);
  printf("\n");
}

void golden_check(const char *name, const uint8_t *data, size_t size,
                  const char *file, int line) {
  uint8_t want[GOLDEN_BYTES_MAX];
  size_t want_size = golden_read(name, want, sizeof want);
  bool is_same = size == want_size && memcmp(data, want, size) == 0;
  if (!is_same) print_hex(name, data, size);
  test_check(is_same, name, file, line);
}
