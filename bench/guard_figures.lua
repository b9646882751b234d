--- Instructions that scenarios of bench/guard.lua take; written by
-- `make bench-guard WRITE=1`.
return {
  compiler = "cc (Debian 12.2.0-14+deb12u1) 12.2.0",
  valgrind = "valgrind-3.19.0",
  lua = "Lua 5.4.4",
  figures = {
    core_1 = 25156,
    core_64 = 1094,
    core_1024 = 755,
    wire = 1298,
    wal = 5068734,
    election = 728330,
    codec = 163033,
  },
}
