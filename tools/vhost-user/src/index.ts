/** vhost-user sockets whose back-end is a vDPA device of the lab. */
export {};
