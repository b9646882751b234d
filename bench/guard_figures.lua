--- Instructions that scenarios of bench/guard.lua take; written by
-- `make bench-guard WRITE=1`.
return {
  compiler = "cc (Debian 12.2.0-14+deb12u1) 12.2.0",
  valgrind = "valgrind-3.19.0",
  lua = "Lua 5.4.4",
  figures = {
    core_1 = 25318,
    core_64 = 1102,
    core_1024 = 761,
    wire = 1322,
    wal = 5212983,
    election = 728706,
    codec = 164280,
  },
}
