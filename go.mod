module lifeboat

go 1.26
