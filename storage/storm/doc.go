// Package storm holds tests that drive a whole repository through random, seeded trouble, on every driver: pushes,
// backups and reads at the same time, while requests fail, hang, arrive twice or lose their answers. Whatever happens,
// what was acknowledged must read back, nothing that is there may seem absent, nothing may be there in part, and a
// backup exists only when all of it does.
//
// LIFEBOAT_STORMS is the number of schedules for each driver, 25 if it is not set; LIFEBOAT_STORM_FROM is the first
// seed, 0 if it is not set. A schedule that finds something prints its seed and its script.
package storm
