--- Instructions that scenarios of bench/guard.lua take; written by
-- `make bench-guard WRITE=1`.
return {
  compiler = "cc (Debian 12.2.0-14+deb12u1) 12.2.0",
  valgrind = "valgrind-3.19.0",
  lua = "Lua 5.4.4",
  figures = {
    core_1 = 25117,
    core_64 = 1087,
    core_1024 = 749,
    wire = 1290,
    wal = 5051962,
    election = 728268,
    codec = 162387,
  },
}
