//! How do several replicas share one address? A plain TCP balancer that sends new connections to one of them at a time.
//!
//! The API server keeps its connections open, so it would ask one replica for ever: [`Balancer::turn`] cuts them all, and who
//! asks next asks the next replica.

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// One address for several replicas.
#[derive(Clone)]
pub struct Balancer {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Where the replicas listen.
    ports: Vec<u16>,
    /// Whose turn it is.
    turn: usize,
    open: Vec<TcpStream>,
}

impl Balancer {
    /// Listens on this port until the process ends.
    pub fn listen(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let balancer = Self { port, state: Arc::default() };
        let accepting = balancer.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                accepting.join(client);
            }
        });
        balancer
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Adds a replica that listens on this port.
    pub fn add(&self, port: u16) {
        self.state.lock().expect("no holder of this lock panics").ports.push(port);
    }

    /// Cuts all connections; new ones go to the next replica.
    pub fn turn(&self) {
        let mut state = self.state.lock().expect("no holder of this lock panics");
        state.turn += 1;
        for socket in state.open.drain(..) {
            // It may be closed already.
            let _closed = socket.shutdown(Shutdown::Both);
        }
    }

    /// Carries bytes both ways until one side closes.
    fn join(&self, client: TcpStream) {
        let mut state = self.state.lock().expect("no holder of this lock panics");
        let Some(port) = state.ports.get(state.turn % state.ports.len().max(1)) else { return };
        let Ok(replica) = TcpStream::connect(("127.0.0.1", *port)) else { return };
        for (from, to) in [(&client, &replica), (&replica, &client)] {
            let clone = |socket: &TcpStream| socket.try_clone().expect("a socket can be cloned");
            let (mut from, mut to) = (clone(from), clone(to));
            thread::spawn(move || {
                let _ended = copy(&mut from, &mut to);
                let _closed = to.shutdown(Shutdown::Write);
            });
        }
        state.open.extend([client, replica]);
    }
}
