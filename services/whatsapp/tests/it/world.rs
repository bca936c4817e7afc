//! One or more replicas of the service, and their broker.
