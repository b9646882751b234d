--- Who is who: the workers among each other, and the storage that all write to.
return {
  members = { n1 = "127.0.0.1:7131", n2 = "127.0.0.1:7132",
    n3 = "127.0.0.1:7133" },
  storage = "127.0.0.1:7231",
}
