module vdset

go 1.19
