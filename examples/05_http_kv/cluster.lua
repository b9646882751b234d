--- Who is who. `raft` is where the nodes meet each other, `http` is where they
-- listen for the likes of curl.
return {
  n1 = { raft = "127.0.0.1:7151", http = "127.0.0.1:7251" },
  n2 = { raft = "127.0.0.1:7152", http = "127.0.0.1:7252" },
  n3 = { raft = "127.0.0.1:7153", http = "127.0.0.1:7253" },
}
