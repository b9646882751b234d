--- Who is who: the addresses, for nodes and clients alike.
return { n1 = "127.0.0.1:7111", n2 = "127.0.0.1:7112", n3 = "127.0.0.1:7113" }
