--- Where the nodes meet each other, and clients find them.
return { n1 = "127.0.0.1:7171", n2 = "127.0.0.1:7172", n3 = "127.0.0.1:7173" }
