--- Instructions that scenarios of bench/guard.lua take; written by
-- `make bench-guard WRITE=1`.
return {
  compiler = "cc (Debian 12.2.0-14+deb12u1) 12.2.0",
  valgrind = "valgrind-3.19.0",
  lua = "Lua 5.4.4",
  figures = {
    core_1 = 17113,
    core_64 = 828,
    core_1024 = 604,
    wire = 838,
    wal = 5086503,
    election = 717737,
    codec = 165465,
  },
}
