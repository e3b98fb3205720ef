//! The whole seam over the fake.

mod chaining;
mod completion;
mod connection;
mod device;
mod doctor;
mod engine;
mod events;
mod faults;
mod lifecycle;
mod mapping;
mod metal;
mod misuse;
mod package;
mod parts;
mod paths;
mod procedures;
mod real_time;
mod rows;
mod scene;
mod statistics;
mod surfaces;
mod tables;
