//! The laws of the locks, semaphores, barriers and cells.

use glassfrog::sync::Mutex;

#[test]
fn a_locked_mutex_is_not_locked_again() {
    let mutex = Mutex::new(7);
    let guard = mutex.try_lock().unwrap();
    assert!(mutex.try_lock().is_err());
    drop(guard);
    assert_eq!(*mutex.try_lock().unwrap(), 7);
}
