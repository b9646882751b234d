--- Who is who. `raft` is where the nodes meet each other, `echo` is where the
-- programs listen for their clients.
return {
  n1 = { raft = "127.0.0.1:7181", echo = "127.0.0.1:7281" },
  n2 = { raft = "127.0.0.1:7182", echo = "127.0.0.1:7282" },
  n3 = { raft = "127.0.0.1:7183", echo = "127.0.0.1:7283" },
}
