--- Instructions that scenarios of bench/guard.lua take; written by
-- `make bench-guard WRITE=1`.
return {
  compiler = "cc (Debian 12.2.0-14+deb12u1) 12.2.0",
  valgrind = "valgrind-3.19.0",
  lua = "Lua 5.4.4",
  figures = {
    core_1 = 25505,
    core_64 = 1130,
    core_1024 = 786,
    wire = 1284,
    wal = 5150010,
    election = 729176,
    codec = 164798,
  },
}
